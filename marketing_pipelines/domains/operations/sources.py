"""The tables that health and metrics read: external assets, so that lineage reaches them."""

import dagster as dg

sessions = dg.AssetSpec(
    ["sources", "job_sessions"],
    description="`ops.job_sessions`: one row for every time a job worked, failed, or was skipped.",
    group_name="sources",
    owners=["team:platform"],
    kinds={"postgres", "table"},
)
