"""The tables of this domain that assets read: external assets, so that lineage reaches them."""

from marketing_pipelines.domains.journeys import tables
from marketing_pipelines.jobs.domain import source

journeys = source(tables.journeys, "journeys with their triggers and steps, and their status.")
