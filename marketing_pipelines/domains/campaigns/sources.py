"""The tables of this domain that assets read: external assets, so that lineage reaches them."""

import dagster as dg

sequences = dg.AssetSpec(
    ["sources", "sequences"],
    description="`campaigns.sequences`: sequences, their status, and who is enrolled in them.",
    group_name="sources",
    owners=["team:platform"],
    kinds={"postgres", "table"},
)
