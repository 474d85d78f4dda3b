"""The tables that are kept tidy: external assets, so that lineage reaches back to them."""

import dagster as dg

tasks = dg.AssetSpec(
    ["sources", "tasks"],
    description="`procrastinate_jobs`: the tasks of all queues, waiting, in hand and finished.",
    group_name="sources",
    owners=["team:platform"],
    kinds={"postgres", "table"},
)
runs = dg.AssetSpec(
    ["sources", "runs"],
    description="Dagster's own storage: its runs and their events.",
    group_name="sources",
    owners=["team:platform"],
    kinds={"postgres", "table"},
)
