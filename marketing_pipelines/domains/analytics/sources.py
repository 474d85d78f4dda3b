"""The tables that the assets read: external assets, so that lineage reaches back to them."""

from marketing_pipelines.domains.analytics import tables
from marketing_pipelines.jobs.domain import source

events = source(
    tables.contact_activity,
    "every event once, append-only; a change marks the partition of its hour as stale.",
)
campaigns = source("campaigns", "`campaigns.campaigns`: campaigns and their status timestamps.")
campaign_contacts = source(
    "campaign_contacts",
    "`campaigns.campaign_contacts`: the contacts of campaigns, and when they entered, completed "
    "or left.",
)
