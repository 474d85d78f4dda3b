"""The tables of this domain that assets read: external assets, so that lineage reaches them."""

from marketing_pipelines.domains.segments import tables
from marketing_pipelines.jobs.domain import source

rules = source(tables.segments, "the rules of segments; contacts added or removed by hand.")
