"""Restatements: numbers of partitions that were over and are replaced by others, and why.

A partition that had not ended when it was last written, such as the running day, is not restated:
its numbers were not final. All of it happens in the transaction that replaces the partitions.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.analytics.aggregates import ENROLMENT_COLUMNS, MONTHLY_PREFIX
from marketing_pipelines.domains.analytics.tables import (
    campaign_daily_stats,
    event_aggregates,
    hourly_events,
    restatements,
)
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.freshness.partitions import Window
from marketing_pipelines.runs.tick import Replacement
from marketing_pipelines.stores.tables import finished_partitions

MAX_ROWS = 10_000
_REPLACED = "replaced"


@dataclass(frozen=True)
class CountedAsset:
    """The rows of a partitioned asset.

    Attributes:
        label: Column of the partition: its first instant, or its day.
        files: Files of the package that count it.
        only: Condition of its rows, where it shares the table.
    """

    table: sa.Table
    label: sa.Column[Any]
    files: tuple[str, ...]
    only: sa.ColumnElement[bool] | None = None

    @property
    def key(self) -> list[sa.Column[Any]]:
        """The columns that tell apart the rows of one organization and partition."""
        known = (self.label.name, "organization_id")
        return [column for column in self.table.primary_key if column.name not in known]

    @property
    def numbers(self) -> list[sa.Column[Any]]:
        """The columns that hold numbers."""
        return [column for column in self.table.columns if not column.primary_key]

    @cached_property
    def code_version(self) -> str:
        """The digest of the files that count it."""
        package = resources.files(__package__)
        texts = (package.joinpath(name).read_bytes() for name in self.files)
        return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]

    def rows_of(self, windows: Sequence[Window]) -> sa.ColumnElement[bool]:
        """The condition of the rows of partitions."""
        labels = sa.cast([self.label_of(w) for w in windows], pg.ARRAY(self.label.type))
        of_windows = self.label == sa.func.any(labels)
        return of_windows if self.only is None else sa.and_(of_windows, self.only)

    def label_of(self, window: Window) -> Any:
        """The value of `label` in the rows of a partition."""
        return window.start if window.grain == "hour" else window.date


_IS_MONTHLY = event_aggregates.c.event_type.startswith(MONTHLY_PREFIX)
HOURS = CountedAsset(hourly_events, hourly_events.c.hour, ("aggregates.py", "sql/count_hours.sql"))
DAYS = CountedAsset(
    event_aggregates,
    event_aggregates.c.date,
    ("aggregates.py", "sql/count_span.sql"),
    ~_IS_MONTHLY,
)
MONTHS = CountedAsset(
    event_aggregates,
    event_aggregates.c.date,
    ("aggregates.py", "sql/count_span.sql"),
    _IS_MONTHLY,
)
CAMPAIGN_DAYS = CountedAsset(
    campaign_daily_stats,
    campaign_daily_stats.c.date,
    ("aggregates.py", "sql/count_campaigns.sql", "sql/insert_campaign_daily_stats.sql"),
)


@contextmanager
def restating(replacement: Replacement, counted: CountedAsset, run_id: str) -> Iterator[None]:
    """Writes the differences between the partitions before and after the block."""
    versions = _ended(replacement)
    if not versions:
        yield
        return
    connection, table = replacement.connection, counted.table
    ended = [w for w in replacement.windows if w.key in versions]
    connection.exec_driver_sql(f"drop table if exists pg_temp.{_REPLACED}")
    connection.exec_driver_sql(
        f"create temporary table {_REPLACED} (like {table.fullname}) on commit drop"
    )
    old = sa.table(_REPLACED, *(sa.column(c.name, c.type) for c in table.columns))
    connection.execute(
        sa.insert(old).from_select(
            [c.name for c in table.columns], sa.select(table).where(counted.rows_of(ended))
        )
    )
    yield
    causes = [_causes(replacement, w, versions[w.key], counted) for w in ended]
    differences = _differences(counted, old, ended, causes)
    connection.execute(_insert(differences, replacement.job, run_id))


def _ended(replacement: Replacement) -> dict[str, str | None]:
    """The version of the code that counted each partition that was over when it was written."""
    windows = (
        sa.func.unnest(
            sa.cast([w.key for w in replacement.windows], pg.ARRAY(sa.Text)),
            sa.cast([w.end for w in replacement.windows], pg.ARRAY(sa.DateTime(timezone=True))),
        )
        .table_valued("key", "ends_at")
        .render_derived(name="windows")
    )
    done = finished_partitions.c
    rows = replacement.connection.execute(
        sa.select(done.partition, done.code_version).where(
            done.asset == replacement.job,
            done.partition == windows.c.key,
            done.finished_at >= windows.c.ends_at,
        )
    )
    return {row.partition: row.code_version for row in rows}


def _causes(
    replacement: Replacement, window: Window, version: str | None, counted: CountedAsset
) -> tuple[str, str]:
    """The cause of other events in a partition, and that of other numbers of enrolments."""
    if version is not None and version != counted.code_version:
        return "code", "code"
    marked = replacement.causes(window.key)
    of_events = next(cause for cause in ("late", "rebuild", "enrolment") if cause in marked)
    return of_events, "enrolment" if "enrolment" in marked else of_events


def _differences(
    counted: CountedAsset,
    old: sa.TableClause,
    windows: Sequence[Window],
    causes: Sequence[tuple[str, str]],
) -> sa.Select[Any]:
    """Each number that differs, with its cause, numbered by partition."""
    new = sa.select(counted.table).where(counted.rows_of(windows)).subquery("new")
    place = [counted.label.name, "organization_id", *(column.name for column in counted.key)]
    both = old.join(new, sa.and_(*(old.c[n] == new.c[n] for n in place)), full=True)
    label, organization, *key = (sa.func.coalesce(old.c[name], new.c[name]) for name in place)
    window = (
        sa.func.unnest(
            sa.cast([w.key for w in windows], pg.ARRAY(sa.Text)),
            sa.cast([counted.label_of(w) for w in windows], pg.ARRAY(counted.label.type)),
            sa.cast([of_events for of_events, _ in causes], pg.ARRAY(sa.Text)),
            sa.cast([of_enrolments for _, of_enrolments in causes], pg.ARRAY(sa.Text)),
        )
        .table_valued("key", sa.column("label", counted.label.type), "of_events", "of_enrolments")
        .render_derived(name="windows")
    )
    number = (
        sa.values(
            sa.column("name", sa.Text),
            sa.column("before", sa.BigInteger),
            sa.column("after", sa.BigInteger),
            sa.column("cause", sa.Text),
            name="number",
        )
        .data(
            [
                (
                    sa.literal(column.name, sa.Text),
                    sa.func.coalesce(old.c[column.name], 0),
                    sa.func.coalesce(new.c[column.name], 0),
                    window.c.of_enrolments
                    if column.name in ENROLMENT_COLUMNS
                    else window.c.of_events,
                )
                for column in counted.numbers
            ]
        )
        .lateral()
    )
    names = [sa.literal(column.name, sa.Text) for column in counted.key]
    pairs = [part for pair in zip(names, key, strict=True) for part in pair]
    order = [window.c.key, organization, *key, number.c.name]
    return (
        sa.select(
            window.c.key.label("partition"),
            organization.label("organization_id"),
            sa.func.jsonb_build_object(*pairs).label("key"),
            number.c.name.label("column_name"),
            number.c.before,
            number.c.after,
            number.c.cause,
            sa.func.row_number().over(order_by=order).label("number"),
        )
        .select_from(both.join(window, window.c.label == label).join(number, sa.true()))
        .where(
            # Rows that are as before are left out before their numbers are compared.
            sa.or_(*(old.c[c.name].is_distinct_from(new.c[c.name]) for c in counted.numbers)),
            number.c.before != number.c.after,
        )
    )


def _insert(differences: sa.Select[Any], asset: str, run_id: str) -> sa.Insert:
    """Writes at most `MAX_ROWS` differences, and sums up the rest by organization and column."""
    found = differences.cte("differences").c
    named = ("partition", "organization_id", "key", "column_name", "before", "after", "cause")
    each = sa.select(*(found[name] for name in named)).where(found.number <= MAX_ROWS)
    first, last = sa.func.min(found.partition), sa.func.max(found.partition)
    rest = (
        sa.select(
            sa.case((first == last, first), else_=first + "..." + last),
            found.organization_id,
            sa.func.jsonb_build_object("restatements", sa.func.count()),
            found.column_name,
            sa.cast(sa.func.sum(found.before), sa.BigInteger),
            sa.cast(sa.func.sum(found.after), sa.BigInteger),
            sa.func.mode().within_group(found.cause),
        )
        .where(found.number > MAX_ROWS)
        .group_by(found.organization_id, found.column_name)
    )
    written = sa.union_all(each, rest).subquery("written").c
    rows = sa.select(*(written[name] for name in named), sa.literal(asset), sa.literal(run_id))
    return sa.insert(restatements).from_select([*named, "asset", "run_id"], rows)


@dataclass(frozen=True)
class Restated:
    """The replaced numbers of a campaign's day.

    Attributes:
        rows: Rows of `restatements`, oldest first.
        summed_up: Restatements that may be of this campaign and day, kept as sums alone.
    """

    rows: Sequence[sa.Row[Any]]
    summed_up: int


def find_campaign(
    connection: sa.Connection, name: str, organization: str | None
) -> tuple[int, int]:
    """The organization and the number of a campaign, by external id or number.

    Raises:
        BadInputError: there is none, or several organizations have one.
    """
    found = connection.execute(
        _read("find_campaign"), {"name": name, "organization": organization}
    ).all()
    if len(found) > 1:
        raise BadInputError(f"Several organizations have a campaign '{name}': name one of them.")
    if not found:
        raise BadInputError(f"There is no campaign '{name}': give its external id or its number.")
    return found[0].organization_id, found[0].id


def of_campaign(connection: sa.Connection, campaign: tuple[int, int], day: dt.date) -> Restated:
    """Reads the numbers of a campaign's day that were replaced after the day was over."""
    organization_id, campaign_id = campaign
    asked = {"organization": organization_id, "campaign": campaign_id, "day": day.isoformat()}
    return Restated(
        connection.execute(_read("restated_of_campaign"), asked).all(),
        connection.execute(_read("restated_in_sums"), asked).scalar_one(),
    )


def _read(name: str) -> sa.TextClause:
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return sa.text(text)
