"""The tables of this domain that assets read: external assets, so that lineage reaches them."""

from marketing_pipelines.domains.campaigns import tables
from marketing_pipelines.jobs.domain import source

sequences = source(tables.sequences, "sequences, their status and their enrolments.")
