"""The tables that health and metrics read: external assets, so that lineage reaches them."""

from marketing_pipelines.jobs.domain import source
from marketing_pipelines.stores import tables

sessions = source(tables.job_sessions, "one row for every attempt of a job, also skipped ones.")
