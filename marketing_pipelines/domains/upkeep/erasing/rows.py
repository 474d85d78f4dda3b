"""Erases the rows of a person, as the declarations of the tables say, in one transaction.

Rows that name the contact are emptied or deleted; free texts of other rows lose the names. The rows
of events wait for the lake: `events.py`. Done again, it changes nothing.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.queueing.tables import jobs
from marketing_pipelines.stores import persons
from marketing_pipelines.stores.ledger import Ledger
from marketing_pipelines.stores.ownership import ownership
from marketing_pipelines.stores.persons import Identity
from marketing_pipelines.stores.tables import load_tables

# Their rows change with the files of the lake; the ledger itself stays.
OF_THE_LAKE = ("analytics.contact_activity", "analytics.event_keys")
_NOT_HERE = (*OF_THE_LAKE, "ops.erasures")
REPLACED = "erased"
# The columns that name a file at `MARKETING_FILES_URL`, which goes with its last row.
_FILES = {"inbox.email_messages": "raw_path", "exports.requests": "file"}
# Shorter names, and short numbers, stand in texts that have nothing to do with the person.
MIN_NAME, MIN_DIGITS = 4, 6
_TASKS = sa.table(
    "procrastinate_jobs",
    sa.column("id", sa.BigInteger),
    sa.column("args", pg.JSONB),
    sa.column("lock", sa.Text),
    sa.column("queueing_lock", sa.Text),
    schema="public",
)
_OF_TASKS = ("args", "lock", "queueing_lock")
_KEYS_OF_TASKS = ("lock", "queueing_lock", "unique_key", "key")

assert jobs.name == _TASKS.name


def count_rows(connection: sa.Connection, person: Identity) -> dict[str, int]:
    """The number of the person's rows, by table; tables without any are left out."""
    found = {
        table.fullname: connection.execute(
            sa.select(sa.func.count()).select_from(table).where(persons.is_about(table, person))
        ).scalar_one()
        for table in persons.tables_about_persons()
        if table.fullname != "ops.erasures"
    }
    return {name: number for name, number in sorted(found.items()) if number}


def erase_rows(
    connection: sa.Connection, person: Identity, ledger: Ledger, *, now: dt.datetime
) -> list[str]:
    """Deletes and empties the person's rows, stops its messages and programs, and suppresses it.

    Returns:
        The files that only the deleted rows named: raw mails, and exports of the person's data.
    """
    given = {"contact_ids": person.contact_ids, "now": now}
    connection.execute(_END_ENROLMENTS, given)
    connection.execute(_STOP_MESSAGES, given)
    connection.execute(_DELETE_CONTENTS, given)
    connection.execute(_FORGET_MAILS, {**given, "organization": person.organization_id})
    freed: list[str] = []
    for table in persons.tables_about_persons():
        if table.fullname not in _NOT_HERE:
            freed += _erase_from(connection, table, person)
    forget_mentions(connection, person)
    connection.execute(
        _SUPPRESS,
        {
            **ledger.blocks,
            "organization": person.organization_id,
            "addresses": person.by_channel,
            "now": now,
        },
    )
    return freed


def has_contents(connection: sa.Connection, person: Identity) -> bool:
    """Returns true if contents of messages that only the person has wait to be deleted."""
    return bool(connection.execute(_HAS_CONTENTS, {"contact_ids": person.contact_ids}).scalar())


def forget_mentions(connection: sa.Connection, person: Identity) -> None:
    """Replaces the person's names in free texts of its organization.

    Where a text says no organization, an address has to be next to an external id: the id may be
    that of a person of another organization, or a word.
    """
    names = Names.of(person)
    mentioning: list[tuple[Any, tuple[str, ...]]] = [
        (table, ownership(table).mentions) for table in load_tables().sorted_tables
    ]
    for table, columns in [*mentioning, (_TASKS, _OF_TASKS)]:
        if columns:
            for rows, pattern in _rows_with_mentions(table, person, names):
                if pattern is not None:
                    _replace(connection, table, columns, rows, pattern, names)


@dataclass(frozen=True)
class Names:
    """Regular expressions of a person's names; None: it has none of that kind.

    Short names, and short numbers, are left out: they stand everywhere.

    Attributes:
        addresses: E-mail addresses and phone numbers, which name the person wherever they stand.
        telling: These, push tokens and external ids: they name it in its organization.
        all: These and full names.
        in_keys: The same for keys of tasks, in which a number is the person only in quotes.
    """

    addresses: str | None
    telling: str | None
    all: str | None
    in_keys: str | None

    @classmethod
    def of(cls, person: Identity) -> "Names":
        """The expressions of a person."""
        tokens = set(person.by_channel.get("push", ()))
        addresses = [
            name
            for name in (*person.addresses, *person.spellings)
            if name not in tokens and name.strip().lower() not in tokens
        ]
        telling = [*addresses, *tokens, *person.external_ids]
        everything = [*telling, *person.names]
        numbers = [name for name in everything if name.isdigit()]
        words = [name for name in everything if not name.isdigit()]
        quoted = _any_of(numbers, before='(?<=")', after='(?=")')
        in_keys = [text for text in (_any_of(words), quoted) if text]
        return cls(
            _any_of(addresses), _any_of(telling), _any_of(everything), "|".join(in_keys) or None
        )


def _any_of(names: Iterable[str], before: str = r"(?<!\w)", after: str = r"(?!\w)") -> str | None:
    """A regular expression of whole words, for PostgreSQL and Python alike, longest first."""
    known = sorted(
        {
            name
            for name in names
            if len(name.strip()) >= (MIN_DIGITS if name.isdigit() else MIN_NAME)
        },
        key=lambda name: (-len(name), name),
    )
    if not known:
        return None
    return rf"{before}(?:{'|'.join(re.escape(name) for name in known)}){after}"


def _rows_with_mentions(
    table: Any, person: Identity, names: Names
) -> Iterator[tuple[sa.ColumnElement[bool], str | None]]:
    """Conditions of rows of a table, with what has to stand in one for it to lose the names."""
    organization = _organization_of(table)
    is_own = organization == sa.cast(sa.literal(person.organization_id), organization.type)
    declared = None if table is _TASKS else ownership(table).person
    if declared is None:
        yield is_own, names.telling
        yield organization.is_(None), names.addresses
        return
    is_deleted = declared.erase == "delete"
    yield is_own if is_deleted else persons.is_about(table, person), names.telling
    by = table.c[declared.by]
    if by.nullable:
        # About nobody alone, such as a mail to a user: its texts tell of people by their names.
        yield sa.and_(is_own, by.is_(None)), names.all
        # Of the operator.
        yield sa.and_(organization.is_(None), by.is_(None)), names.addresses


def _organization_of(table: Any) -> sa.ColumnElement[Any]:
    """The organization of a row: its own, its task's or that of the row it belongs to, or null."""
    if "organization_id" in table.c:
        return cast(sa.ColumnElement[Any], table.c.organization_id)
    for name in ("args", "payload"):
        if name in table.c:
            return _named_by(table.c[name])
    if "task_id" in table.c:
        task = sa.select(_named_by(_TASKS.c.args))
        return task.where(_TASKS.c.id == table.c.task_id).correlate(table).scalar_subquery()
    for column in table.c:
        for key in column.foreign_keys:
            above = key.column.table
            if "organization_id" in above.c:
                owner = sa.select(above.c.organization_id).where(key.column == column)
                return owner.correlate(table).scalar_subquery()
    return sa.cast(sa.null(), sa.BigInteger)


def _named_by(payload: Any) -> sa.ColumnElement[Any]:
    """The organization that a task's arguments name, as a text."""
    return sa.type_coerce(payload.op("->>")("organization_id"), sa.Text())


def _erase_from(connection: sa.Connection, table: sa.Table, person: Identity) -> list[str]:
    """Deletes or empties the person's rows of a table; returns the files that are nobody's now."""
    declared = ownership(table).person
    assert declared is not None
    condition = persons.is_about(table, person)
    if declared.erase == "delete":
        file = _FILES.get(table.fullname)
        if file is not None:
            return _delete_with_files(connection, table, table.c[file], condition)
        connection.execute(sa.delete(table).where(condition))
    elif declared.erase == "empty":
        values = {
            name: _emptied(table, table.c[name], declared.by, person) for name in declared.mask
        }
        is_full = sa.or_(*(table.c[name].is_distinct_from(new) for name, new in values.items()))
        connection.execute(sa.update(table).where(condition, is_full).values(values))
    return []


def _delete_with_files(
    connection: sa.Connection,
    table: sa.Table,
    file: sa.Column[Any],
    condition: sa.ColumnElement[bool],
) -> list[str]:
    """Deletes rows and returns the files that no other row names.

    The files are those of the rows that the statement deletes: one that came a moment before has
    its file removed, too.
    """
    deleted = connection.execute(sa.delete(table).where(condition).returning(file)).scalars()
    paths = sorted({path for path in deleted if path is not None})
    wanted = sa.literal(paths, pg.ARRAY(sa.Text))
    kept = set(connection.execute(sa.select(file).where(file == sa.any_(wanted))).scalars())
    return [path for path in paths if path not in kept]


def _emptied(
    table: sa.Table, column: sa.Column[Any], by: str, person: Identity
) -> sa.ColumnElement[Any]:
    """The value of a column that no longer tells who the contact was."""
    if column.name == by and isinstance(column.type, sa.ARRAY):
        return _without(column, [*person.external_ids, *person.addresses])
    if column.nullable:
        return sa.null()
    if column.server_default is not None:
        default: Any = column.server_default
        return sa.cast(sa.literal_column(str(default.arg)), column.type)
    if isinstance(column.type, pg.JSONB):
        return sa.cast(sa.literal_column("'{}'"), pg.JSONB)
    return sa.literal("erased:") + sa.cast(table.c.id, sa.Text)


def _without(column: sa.Column[Any], names: list[str]) -> sa.ColumnElement[Any]:
    """A list without some of its texts."""
    one = sa.func.unnest(column).table_valued("one").render_derived(name="listed")
    lowered = [name.lower() for name in names]
    kept = sa.select(one.c.one).where(
        one.c.one.not_in(names), sa.func.lower(sa.func.btrim(one.c.one)).not_in(lowered)
    )
    return sa.func.array(kept.scalar_subquery(), type_=column.type)


def _replace(
    connection: sa.Connection,
    table: Any,
    columns: tuple[str, ...],
    rows: sa.ColumnElement[bool],
    pattern: str,
    names: Names,
) -> None:
    """Replaces all names in columns of those rows in which the pattern is found."""
    unique = _unique_columns(table)
    found = sa.or_(*(sa.cast(table.c[name], sa.Text).op("~*")(pattern) for name in columns))
    values: dict[str, sa.ColumnElement[Any]] = {}
    for name in columns:
        column = table.c[name]
        if isinstance(column.type, pg.JSONB):
            values[name] = sa.func.ops.without_names(
                column, names.all, names.addresses, type_=pg.JSONB
            )
            continue
        instead: Any = sa.literal(REPLACED)
        if name in unique:
            instead = sa.literal(f"{REPLACED}:") + sa.cast(sa.func.gen_random_uuid(), sa.Text)
        replaced = names.in_keys if name in _KEYS_OF_TASKS else names.all
        values[name] = sa.func.regexp_replace(column, replaced, instead, "gi")
    changes = sa.or_(*(table.c[name].is_distinct_from(new) for name, new in values.items()))
    connection.execute(sa.update(table).where(rows, found, changes).values(values))


def _unique_columns(table: Any) -> set[str]:
    if table is _TASKS:
        return {"queueing_lock"}
    return {
        column.name
        for constraint in table.constraints | table.indexes
        if isinstance(constraint, sa.UniqueConstraint | sa.PrimaryKeyConstraint)
        or (isinstance(constraint, sa.Index) and constraint.unique)
        for column in constraint.columns
    }


_END_ENROLMENTS = sa.text(
    "update lifecycle.enrolments set status = 'exited', exited_at = :now, reason = 'erased',"
    " next_step_at = null, awaits = null"
    " where contact_id = any(:contact_ids) and status = 'active'"
)
_STOP_MESSAGES = sa.text(
    "update delivery.messages set state = 'suppressed', reason = 'erased', leased_until = null"
    " where contact_id = any(:contact_ids) and state = 'queued'"
)
# Contents that only the person's requested messages have. A writer of messages renews `used_at` of
# a content that was not used for an hour, and its lock makes this statement look again.
_OWN_CONTENTS = """
    with own as materialized (
        select distinct content_id from delivery.messages
        where contact_id = any(:contact_ids) and program_kind is null
    ),
    shared as materialized (
        select distinct content_id from delivery.messages
        where content_id in (select content_id from own)
            and (contact_id <> all(:contact_ids) or contact_id is null)
    )
"""
_IS_OWN = "id in (select content_id from own except select content_id from shared)"
_DELETE_CONTENTS = sa.text(
    f"{_OWN_CONTENTS} delete from delivery.contents"
    f" where {_IS_OWN} and used_at < now() - interval '1 hour'"
)
_HAS_CONTENTS = sa.text(
    f"{_OWN_CONTENTS} select exists (select from delivery.contents where {_IS_OWN})"
)
# Mails to users that have the texts of notifications about the person; those go with its rows.
_FORGET_MAILS = sa.text(r"""
    with told as materialized (
        select user_id, mailed_at, '^(?:' || string_agg(
                   regexp_replace(one, '([^\w\s])', '\\\1', 'g'), '|'
               ) || ')$' as texts
        from crm.notifications
        cross join lateral unnest(array[title, text]) as one
        where organization_id = :organization and contact_id = any(:contact_ids)
            and mailed_at is not null and one <> ''
        group by user_id, mailed_at
    )
    update delivery.messages as mail
    set variables = ops.without_names(mail.variables, told.texts, null)
    from told
    where mail.organization_id = :organization and mail.user_id = told.user_id
        and mail.queued_at = told.mailed_at
""")
_SUPPRESS = sa.text("""
    insert into delivery.suppressions (
        organization_id, address_hash, channel, reason, since, source
    )
    select :organization, hash, channel, 'erased', cast(:now as timestamptz), 'erasure'
    from jsonb_each(:addresses) as given (channel, listed)
    cross join lateral jsonb_array_elements_text(listed) as address
    cross join lateral ops.erasure_hash(
        :inner_block, :outer_block, :organization, channel, address
    ) as hash
    order by hash, channel
    on conflict do nothing
""").bindparams(sa.bindparam("addresses", type_=pg.JSONB))
