"""The tables of this domain that assets read: external assets, so that lineage reaches them."""

import dagster as dg

contacts = dg.AssetSpec(
    ["sources", "contacts"],
    description="`crm.contacts`: the people of each organization.",
    group_name="sources",
    owners=["team:platform"],
    kinds={"postgres", "table"},
)
