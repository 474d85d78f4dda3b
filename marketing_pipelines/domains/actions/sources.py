"""The tables that the job of actions reads."""

from marketing_pipelines.domains.actions import tables
from marketing_pipelines.jobs.domain import source

routes = source(tables.routes, "Jobs and tasks that actions are led to.")
