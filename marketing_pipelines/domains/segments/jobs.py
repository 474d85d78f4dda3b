"""The assets of this domain, each followed by its clock."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from marketing_pipelines.domains.analytics import sources as events
from marketing_pipelines.domains.crm import sources as crm
from marketing_pipelines.domains.segments import sources, tables
from marketing_pipelines.domains.segments.evaluation import JOB
from marketing_pipelines.domains.segments.partitions import DAILY_SIZES
from marketing_pipelines.domains.segments.work import do_memberships, do_sizes
from marketing_pipelines.jobs.metadata import (
    column_descriptions,
    every_item_done,
    result_with_item_check,
)
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import SINGLE_RUN, daily, scheduled

COMMON: dict[str, Any] = {"group_name": "segments", "owners": ["team:lifecycle"]}


@dg.asset(
    key=["segments", "memberships"],
    deps=[sources.rules, crm.contacts, events.events],
    check_specs=[every_item_done(JOB)],
    metadata=column_descriptions(tables.memberships),
    kinds={"postgres"},
    **COMMON,
)
def memberships(
    context: dg.AssetExecutionContext, postgres: Postgres
) -> Iterator[dg.MaterializeResult[Any]]:
    """The members of each segment by its rule, published at once."""
    with postgres.tick(context) as tick:
        do_memberships(tick)
    yield result_with_item_check(tick)


memberships_schedule = scheduled(memberships, cron="0 * * * *", catch_up="once")


@dg.asset(
    key=["segments", "daily_sizes"],
    partitions_def=daily(),
    deps=[memberships],
    backfill_policy=SINGLE_RUN,
    metadata=column_descriptions(tables.daily_sizes),
    kinds={"postgres"},
    **COMMON,
)
def daily_sizes(context: dg.AssetExecutionContext, postgres: Postgres) -> dg.MaterializeResult[Any]:
    """How large each segment was at the day's end, who came and went, whom two of them share."""
    with postgres.tick(context) as tick:
        do_sizes(tick)
    return tick.result()


daily_sizes_schedule = scheduled(
    daily_sizes, cron=DAILY_SIZES.cron, catch_up="all", partitions=DAILY_SIZES
)
