"""The tables of this domain that assets read: external assets, so that lineage reaches them."""

import dagster as dg

journeys = dg.AssetSpec(
    ["sources", "journeys"],
    description="`journey.journeys`: journeys with their triggers and steps, and their status.",
    group_name="sources",
    owners=["team:platform"],
    kinds={"postgres", "table"},
)
