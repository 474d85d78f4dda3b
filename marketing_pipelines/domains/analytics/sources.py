"""The tables that the assets read: external assets, so that lineage reaches back to them."""

import dagster as dg


def _source(table: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        ["sources", table],
        description=description,
        group_name="sources",
        owners=["team:platform"],
        kinds={"postgres", "table"},
    )


events = _source(
    "contact_activity",
    "`analytics.contact_activity`: every event once, append-only, marked by the hour when it "
    "changes.",
)
campaigns = _source("campaigns", "`campaigns.campaigns`: campaigns and their status timestamps.")
campaign_contacts = _source(
    "campaign_contacts", "`campaigns.campaign_contacts`: who entered, completed or left, and when."
)
