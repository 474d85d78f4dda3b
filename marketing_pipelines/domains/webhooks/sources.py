"""The deliveries as an external asset: Dagster shows them, and workers of their queue do them."""

import dagster as dg

from marketing_pipelines.domains.webhooks import tables
from marketing_pipelines.jobs.metadata import column_descriptions
from marketing_pipelines.registry import Team

deliveries = dg.AssetSpec(
    ["webhooks", "deliveries"],
    description="`webhooks.deliveries`: events on their way to the endpoints of organizations. "
    "Workers of the queue `webhooks` deliver them; no job does.",
    group_name="webhooks",
    owners=[Team.PLATFORM.value],
    kinds={"postgres", "table"},
    metadata=column_descriptions(tables.deliveries),
)
