"""The tables of this domain that assets read: external assets, so that lineage reaches them."""

from marketing_pipelines.domains.leads import tables
from marketing_pipelines.jobs.domain import source

score_rules = source(tables.score_rules, "the rules of lead scores of each organization.")
