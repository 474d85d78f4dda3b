"""The tables of this domain that assets read: external assets, so that lineage reaches them."""

import dagster as dg

rules = dg.AssetSpec(
    ["sources", "segments"],
    description="`segments.segments`: the rules, and contacts that somebody put in or took out.",
    group_name="sources",
    owners=["team:platform"],
    kinds={"postgres", "table"},
)
