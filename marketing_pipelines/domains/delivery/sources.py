"""The tables of this domain that assets read: external assets, so that lineage reaches them."""

from marketing_pipelines.domains.delivery import tables
from marketing_pipelines.domains.delivery.consent import tables as consent
from marketing_pipelines.domains.delivery.named_templates import tables as named_templates
from marketing_pipelines.jobs.domain import source

sending_domains = source(tables.sending_domains, "domains that mail is sent from, their warm-up.")
subscriptions = source(consent.subscriptions, "subscriptions of contacts to categories.")
templates = source(named_templates.templates, "templates of messages.")
messages = source(tables.messages, "messages and how they ended.")
