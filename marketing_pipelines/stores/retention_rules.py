"""The rules by which old rows go: declared by the tables, changed by `jobs.toml`."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from marketing_pipelines import installation_settings, jobs_file
from marketing_pipelines.stores.ownership import EMPTIED, Keep, ownership
from marketing_pipelines.stores.tables import load_tables


@dataclass(frozen=True)
class RetentionRule:
    """The time that the rows of one table stay.

    Attributes:
        days: Whole days; never 0, which is for ever.
    """

    table: sa.Table
    keep: Keep
    days: int

    @property
    def name(self) -> str:
        """The table's name with its schema."""
        return self.table.fullname

    def old_at(self, instant: dt.datetime, today: dt.date) -> sa.ColumnElement[bool]:
        """The condition of rows that may go at an instant.

        Args:
            today: The day of the instant in the reporting zone, from which dates count.
        """
        is_past = self.is_past(instant, today)
        if self.keep.where is None:
            return is_past
        condition = sa.text(f"({self.keep.where})")
        if ":before" in self.keep.where:
            condition = condition.bindparams(before=self._before(instant, today))
        return sa.and_(is_past, condition)

    def is_past(self, instant: dt.datetime, today: dt.date) -> sa.ColumnElement[bool]:
        """The condition of rows whose days are over, whatever else the rule demands."""
        column = self.table.c[self.keep.column]
        return column < self._before(instant, today)

    def _before(self, instant: dt.datetime, today: dt.date) -> dt.date:
        is_date = isinstance(self.table.c[self.keep.column].type, sa.Date)
        return (today if is_date else instant) - dt.timedelta(days=self.days)


def rules(job: str | None = None) -> Sequence[RetentionRule]:
    """The rules of all tables, or of those from which one job removes rows; by name.

    Raises:
        ConfigurationError: `[retention]` of `jobs.toml` names a table without a rule.
    """
    require_known()
    found = []
    for name, (table, keep) in sorted(_declared().items()):
        days = installation_settings.retention().days.get(name, keep.days)
        if days and job in (None, keep.job):
            found.append(RetentionRule(table, keep, days))
    return found


def kept_for_ever(job: str) -> list[str]:
    """The tables of a job from which `jobs.toml` lets nothing go; by name."""
    given = installation_settings.retention().days
    return [name for name, (_, keep) in sorted(_declared().items())
            if keep.job == job and given.get(name) == 0]  # fmt: skip


def emptied() -> Sequence[sa.Table]:
    """The tables that their readers empty; by name."""
    tables = load_tables().tables
    return [table for _, table in sorted(tables.items()) if ownership(table).keep is EMPTIED]


def require_known() -> None:
    """Refuses days of a table whose rows stay for ever.

    Raises:
        ConfigurationError: `[retention]` of `jobs.toml` names such a table, or one that is unknown.
    """
    given = installation_settings.retention().days
    if not given:
        return
    known = _declared()
    for name in given:
        if name not in known:
            reason = f"'{name}' is none of the tables with a rule: {', '.join(sorted(known))}"
            jobs_file.refuse(jobs_file.current(), "retention", name, reason)


def _declared() -> dict[str, tuple[sa.Table, Keep]]:
    tables = load_tables().tables
    declared = {name: (table, ownership(table).keep) for name, table in tables.items()}
    return {
        name: (table, keep) for name, (table, keep) in declared.items() if isinstance(keep, Keep)
    }
