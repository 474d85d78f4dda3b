"""Entity files into the tables of the business: organizations, users, contacts and so on.

A column in the file is set, an empty cell clears it, an absent column stays; unknown columns are
keys of `attributes` under the same rule. Text that holds a JSON object or list is kept as JSON;
other text (`12`, `true`) stays text, which rules read as the type they need. If a file repeats an
entity, the last row counts. An unknown id in a row creates a stub.
"""

import datetime as dt
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.loading.batches import Batch, Reader
from marketing_pipelines.loading.checker import Checker, read_sql
from marketing_pipelines.loading.columns import ColumnPicker
from marketing_pipelines.loading.entity_checks import check_statement
from marketing_pipelines.loading.entity_store import EntityStore
from marketing_pipelines.loading.ids import KeysSeen, odd_ids
from marketing_pipelines.loading.pipeline import Checked, split_checked
from marketing_pipelines.loading.remarks import Remark
from marketing_pipelines.loading.results import Counts, Reject
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.kinds import Kind

if TYPE_CHECKING:
    import pyarrow as pa


class EntityTarget:
    """Checks and stores a file of one kind of entity.

    Args:
        now: As of `EntityStore`.

    Raises:
        BadInputError: the file has columns that the kind has no place for.
    """

    writers = 1

    def __init__(
        self,
        kind: Kind,
        reader: Reader,
        checker: Checker,
        *,
        settings: Settings,
        timezone: str | None,
        now: dt.datetime,
        restore_consent: bool = False,
    ) -> None:
        _refuse_unknown_columns(kind, reader)
        objects = tuple(column.name for column in kind.columns if column.may_nest)
        self._kind = kind
        self._now = now
        self._settings = settings
        self._restore_consent = restore_consent
        self._checker = checker
        self._header = reader.columns
        self._seen = KeysSeen()
        self._ids = [c.name for c in kind.columns if c.reference or c.name == "external_id"]
        if not kind.tenants:
            self._ids.append("organization_id")
        self._picker = ColumnPicker(reader, kind.known, objects, checker)
        self._statement = check_statement(kind, reader.columns)
        self._parameters: dict[str, object] = {}
        if "$zones" in self._statement:
            self._parameters["zones"] = sorted(available_timezones())
        if "$zone)" in self._statement:
            self._parameters["zone"] = timezone

    @property
    def kept(self) -> tuple[str, set[str]]:
        """Attributes; kinds without any refuse unknown columns."""
        return "attributes", self._picker.further if self._kind.attributes else set()

    @property
    def missing(self) -> list[str]:
        """Required columns that no row has had so far."""
        return self._picker.missing(self._kind.required)

    def check(self, batch: Batch) -> Checked:
        """Separates good rows from bad ones and joins the rows of one entity."""
        picked, rejects = self._picker.pick(batch)
        picked, found = self._without_problems(picked)
        rejects += found
        checked = self._checker.query(self._statement, {"batch": picked}, self._parameters or None)
        good, refused = split_checked(checked)
        joined = self._checker.query(self._join_statement(), {"batch": good})
        repeated = Counts(repeated=good.num_rows - joined.num_rows)
        remarks = odd_ids(good, self._ids) + self._shared_keys(joined)
        rows = joined.drop_columns(["rows", "key_hash"])
        return Checked([rows], rejects + refused, repeated, remarks)

    def _shared_keys(self, joined: "pa.Table") -> list[Remark]:
        """Says that rows of the file name an entity that an earlier row names."""
        import numpy as np

        seen = self._seen.seen(joined["key_hash"].to_numpy())
        again = joined["rows"].to_numpy() - 1 + seen
        if not again.any():
            return []
        first = joined.slice(int(np.flatnonzero(again)[0]), 1).to_pylist()[0]
        key = ", ".join(f"{name} '{first[name]}'" for name in self._kind.key if first[name])
        text = f"{key} stands in an earlier row of this file too, and the last row wins"
        return [Remark(first["line"], "", text, int(again.sum()))]

    def store(self) -> EntityStore:
        """Returns the writer of batches."""
        return EntityStore(
            self._kind, self._now, self._settings, restore_consent=self._restore_consent
        )

    def _without_problems(self, picked: "pa.Table") -> tuple["pa.Table", list[Reject]]:
        """The rows that the kind's own code accepts, and those refused."""
        import pyarrow as pa

        asked = [(column.name, column.problem) for column in self._kind.columns if column.problem]
        if not asked:
            return picked, []
        rejects, good = [], []
        for cells in picked.to_pylist():
            names = cells["keys"] if self._header is None else self._header
            row = {name: cells[name] for name in names if name in self._kind.known}
            found = ((name, problem(row)) for name, problem in asked)
            refused = next(((name, why) for name, why in found if why is not None), None)
            good.append(refused is None)
            if refused is not None:
                rejects.append(Reject(cells["line"], *refused))
        return picked.filter(pa.array(good, pa.bool_())), rejects

    def _join_statement(self) -> str:
        keys = self._kind.key if self._kind.tenants else ("organization_id", *self._kind.key)
        others = [c.name for c in self._kind.references if c.name not in keys]
        last = 'last("{0}" order by line) filter (where "sets_{0}") as "{0}", '
        return read_sql("join_entities").format(
            keys=", ".join(f'"{name}"' for name in keys),
            others="".join(last.format(name) for name in others),
        )


def _refuse_unknown_columns(kind: Kind, reader: Reader) -> None:
    if kind.attributes or reader.columns is None:
        return
    unknown = [name for name in reader.columns if name not in kind.known]
    if unknown:
        raise BadInputError(
            f"{reader.path} has the column {', '.join(unknown)}, which {kind.name} have no place "
            f"for: they take {', '.join(kind.known)}."
        )
