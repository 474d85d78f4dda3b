"""Stores checked entity rows: set-based statements written from the kind's declaration."""

import datetime as dt
from typing import TYPE_CHECKING

import sqlalchemy as sa

from marketing_pipelines.loading.erased import ErasedNames
from marketing_pipelines.loading.results import MAX_STUB_NAMES, Counts, Reject
from marketing_pipelines.loading.stubs import Stubs
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.change_dates import date_changes
from marketing_pipelines.stores.kinds import Column, Kind
from marketing_pipelines.stores.postgres import copy_arrow

if TYPE_CHECKING:
    import pyarrow as pa

_TYPES = {
    "text": "text",
    "zone": "text",
    "integer": "integer",
    "number": "numeric",
    "date": "date",
    "instant": "timestamptz",
    "boolean": "boolean",
    "object": "jsonb",
    "json": "jsonb",
}

ANALYZE_FROM = 10_000


class EntityStore:
    """The statements of one kind.

    A row's `fields` is an object of the columns it sets; the values of keys and references stand in
    columns of their own, as external ids.

    Args:
        now: When statuses and stages change whose row does not say it.
        restore_consent: True: a row about an erased person is a new relationship.
    """

    def __init__(
        self, kind: Kind, now: dt.datetime, settings: Settings, *, restore_consent: bool
    ) -> None:
        self._kind = kind
        self._now = now
        self._gate = ErasedNames(kind, settings, restore_consent=restore_consent)
        self._stage = f"loaded_{kind.name}"
        self._ids = [c.name for c in kind.columns if c.name in kind.key or c.reference is not None]
        if not kind.tenants:
            self._ids.insert(0, "organization_id")
        self._set = [c for c in kind.columns if c.name not in kind.key]

    def write(self, connection: sa.Connection, batch: "pa.Table") -> tuple[Counts, list[Reject]]:
        """Stores the rows of one batch, in which every entity stands once, in one transaction."""
        with connection.begin():
            date_changes(connection, self._now)
            connection.exec_driver_sql(self._create_stage())
            connection.exec_driver_sql(f"truncate {self._stage}")
            copy_arrow(connection, self._stage, batch.to_reader())
            connection.exec_driver_sql(f"analyze {self._stage}")
            refused = self._gate.refuse(connection, self._stage) + self._refuse(connection)
            staged = batch.num_rows - len(refused)
            stubs = Stubs()
            if not self._kind.tenants:
                stubs.add("organizations", connection.exec_driver_sql(self._add_organizations()))
            for column in self._kind.references:
                assert column.reference is not None
                added = connection.exec_driver_sql(self._add_referenced(column))
                stubs.add(column.reference.table.name, added)
            own = self._kind.statements
            if own is not None:
                connection.exec_driver_sql(own.prepare)
            insert = self._insert() if own is None else own.insert
            inserted = connection.exec_driver_sql(insert).rowcount
            if inserted >= ANALYZE_FROM:
                # The planner does not know rows that were just stored, and would loop over them.
                for table in self._tables():
                    connection.exec_driver_sql(f"analyze {table.fullname}")
            changed = 0
            if inserted < staged:
                change = self._update() if own is None else own.change
                changed = connection.exec_driver_sql(change).rowcount
        counts = Counts(inserted, changed, staged - inserted - changed, stubs.numbers, stubs.names)
        return counts, refused

    def _refuse(self, connection: sa.Connection) -> list[Reject]:
        """Takes the rows out of the stage that the stored ones rule out."""
        if self._kind.refused is None:
            return []
        refused = [Reject(*row) for row in self._kind.refused(connection)]
        if refused:
            connection.execute(
                sa.text(f"delete from {self._stage} where line = any(:lines)"),
                {"lines": [row.line for row in refused]},
            )
        return refused

    def _tables(self) -> list[sa.Table]:
        referenced = [c.reference.table for c in self._kind.references if c.reference is not None]
        return [table for table in (self._kind.table, *referenced) if isinstance(table, sa.Table)]

    def _create_stage(self) -> str:
        ids = "".join(f"{name} text, " for name in self._ids)
        return (
            f"create temporary table if not exists {self._stage}"
            f" (line bigint, {ids}fields jsonb, extras jsonb)"
        )

    def _add_organizations(self) -> str:
        return _counted(
            "insert into crm.organizations (external_id)"
            f" select distinct organization_id from {self._stage} as loaded"
            " where not exists (select from crm.organizations as known"
            " where known.external_id = loaded.organization_id)"
            " order by organization_id on conflict do nothing"
        )

    def _add_referenced(self, column: Column) -> str:
        """Stubs for unknown ids of a reference."""
        assert column.reference is not None
        table = column.reference.table.fullname
        fixed = [*column.reference.stub]
        fixed += [(name, f"loaded.{own}") for name, own in column.reference.discriminators]
        names = "".join(f", {name}" for name, _ in fixed)
        values = "".join(f", {value}" for _, value in fixed)
        return _counted(
            f"insert into {table} (organization_id, external_id{names})"
            f" select distinct organization.id, loaded.{column.name}{values}"
            f" from {self._stage} as loaded"
            " join crm.organizations as organization"
            " on organization.external_id = loaded.organization_id"
            f" where loaded.{column.name} is not null and not exists ("
            f"select from {table} as known where {_named('known', column)})"
            " order by 1, 2 on conflict do nothing"
        )

    def _insert(self) -> str:
        """New rows whole; a row that another process made in between is left to the update."""
        names = [*self._key_columns(), *(column.stored for column in self._set)]
        values = [*self._key_values(), *(self._value_for_new(column) for column in self._set)]
        if self._kind.attributes:
            names.append("attributes")
            values.append(_attributes("'{}'::jsonb"))
        return (
            f"insert into {self._kind.table.fullname} ({', '.join(map(_quoted, names))})"
            f" select {', '.join(values)} from {self._joined()}"
            f" where not exists (select from {self._kind.table.fullname} as known"
            f" where {self._same('known')})"
            " order by loaded.line on conflict do nothing"
        )

    def _update(self) -> str:
        """Rows that exist and differ; an equal row is not touched, so no trigger sees it."""
        columns = [(column.stored, self._value_for_known(column)) for column in self._set]
        columns += self._kind.named
        if self._kind.attributes:
            columns.append(("attributes", _attributes("known.attributes")))
        listed = ", ".join(f"{value} as {name}" for name, value in columns)
        # Evaluated on the locked row, which another transaction may just have changed.
        guards = {column.stored: column.only_if for column in self._set if column.only_if}
        values = {name: _guarded(name, guards.get(name)) for name, _ in columns}
        assignments = ", ".join(f"{_quoted(name)} = {value}" for name, value in values.items())
        before = ", ".join(f"stored.{name}" for name in values)
        after = ", ".join(values.values())
        table = self._kind.table.fullname
        return (
            f"update {table} as stored set {assignments} from ("
            f"select known.id, {listed} from {self._joined()}"
            f" join {table} as known on {self._same('known')}"
            f") as changed where stored.id = changed.id"
            f" and ({before}) is distinct from ({after})"
        )

    def _joined(self) -> str:
        """The stage with the ids of its references."""
        text = f"{self._stage} as loaded"
        if not self._kind.tenants:
            text += (
                " join crm.organizations as organization"
                " on organization.external_id = loaded.organization_id"
            )
        for column in self._kind.references:
            assert column.reference is not None
            alias = f"by_{column.name}"
            text += (
                f" left join {column.reference.table.fullname} as {alias}"
                f" on {_named(alias, column)}"
            )
        return text

    def _key_columns(self) -> list[str]:
        own = [*self._kind.stored_key, *(name for name, _ in self._kind.fixed)]
        return own if self._kind.tenants else ["organization_id", *own]

    def _key_values(self) -> list[str]:
        references = {column.name for column in self._kind.references}
        values = [
            f"by_{name}.id" if name in references else f"loaded.{name}" for name in self._kind.key
        ]
        values += [value for _, value in self._kind.fixed]
        return values if self._kind.tenants else ["organization.id", *values]

    def _same(self, alias: str) -> str:
        pairs = zip(self._key_columns(), self._key_values(), strict=True)
        return " and ".join(f"{alias}.{name} = {value}" for name, value in pairs)

    def _value(self, column: Column) -> str:
        if column.reference is not None:
            return f"by_{column.name}.id"
        value = f"nullif(loaded.fields -> '{column.name}', 'null')"
        if column.type == "list":
            value = f"array(select jsonb_array_elements_text({value}))"
        elif not column.is_json:
            value = f"cast(loaded.fields ->> '{column.name}' as {_TYPES[column.type]})"
        return value if column.empty is None else f"coalesce({value}, {column.empty})"

    def _value_for_new(self, column: Column) -> str:
        value = self._value(column)
        return f"coalesce({value}, now())" if column.keep and column.empty is None else value

    def _value_for_known(self, column: Column) -> str:
        kept = f"known.{column.stored}"
        if column.empty is not None:
            # A stub may lack a value that rows have otherwise.
            kept = f"coalesce({kept}, {column.empty})"
        return (
            f"case when loaded.fields ? '{column.name}' then {self._value(column)} else {kept} end"
        )


def _quoted(name: str) -> str:
    """A column's name where SQL allows no reserved word, such as `from`."""
    return f'"{name}"'


def _counted(insert: str) -> str:
    """An insert of stubs that returns how many it made and the first of their ids."""
    return (
        f"with added as ({insert} returning external_id)"
        f" select count(*), (array_agg(external_id))[1:{MAX_STUB_NAMES}] from added"
    )


def _named(alias: str, column: Column) -> str:
    """The condition that a row is the one that a reference names."""
    assert column.reference is not None
    pairs = (("external_id", column.name), *column.reference.discriminators)
    same = "".join(f" and {alias}.{name} = loaded.{own}" for name, own in pairs)
    return f"{alias}.organization_id = organization.id{same}"


def _guarded(name: str, guard: str | None) -> str:
    """Returns the SQL of a column's new value in an existing row."""
    changed = f"changed.{name}"
    return changed if guard is None else f"case when {guard} then {changed} else stored.{name} end"


def _attributes(before: str) -> str:
    """Attributes after a row: its keys are set, those it leaves empty removed, others untouched.

    A text that reads as a stored number or true or false does not change it: csv has no types.
    """
    return (
        f"case when loaded.extras is null then {before} else ({before} || (select"
        " coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each(loaded.extras)"
        f" where jsonb_typeof(value) <> 'string' or {before} ->> key is distinct from"
        " value #>> '{}')) - array("
        "select key from jsonb_each(loaded.extras) where value = 'null') end"
    )
