"""Tables of the schema `journey`."""

from marketing_pipelines.domains.lifecycle.programs import program_table

journeys = program_table("journeys", schema="journey", comment="Programs entered by a trigger")
