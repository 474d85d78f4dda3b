"""The queue of exports as an external asset: Dagster shows it, and its workers fill it."""

import dagster as dg

from marketing_pipelines.domains.exports import tables
from marketing_pipelines.jobs.metadata import column_descriptions
from marketing_pipelines.registry import Team

requests = dg.AssetSpec(
    ["exports", "requests"],
    description="`exports.requests`: files that applications and operators asked for. Workers of "
    "the queue `exports` write them; no job does. The latest observation has the counts.",
    group_name="exports",
    owners=[Team.PLATFORM.value],
    kinds={"postgres", "table"},
    metadata=column_descriptions(tables.requests),
)
