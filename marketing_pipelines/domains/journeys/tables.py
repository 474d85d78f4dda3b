"""Tables of the schema `journey`."""

from marketing_pipelines.domains.lifecycle.program_kinds import ProgramKind, declare
from marketing_pipelines.domains.lifecycle.programs import program_table

journeys = program_table("journeys", schema="journey", comment="Programs entered by a trigger")

JOURNEY = declare(ProgramKind("journey", journeys, moved_by="journeys/step_progress"))
