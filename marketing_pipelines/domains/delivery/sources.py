"""The tables of this domain that assets read: external assets, so that lineage reaches them."""

from marketing_pipelines.domains.delivery import tables
from marketing_pipelines.jobs.domain import source

sending_domains = source(tables.sending_domains, "domains that mail is sent from, their warm-up.")
messages = source(tables.messages, "messages and how they ended.")
