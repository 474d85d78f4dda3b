"""The files of journeys and of their triggers."""

from marketing_pipelines.domains.journeys.tables import JOURNEY, journeys
from marketing_pipelines.domains.lifecycle.load import program_files, trigger_files
from marketing_pipelines.stores.kinds import (
    Reference,
)

KINDS = (
    program_files(JOURNEY),
    trigger_files(JOURNEY, Reference(journeys)),
)
