"""Erases the rows of a person, as the declarations of the tables say, in one transaction.

What names the contact is emptied or deleted; free texts of other rows lose the names. The rows of
events wait for the lake: `events.py`. Done again, it changes nothing.
"""

import datetime as dt
import re
from typing import Any

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


def raw_files_of(connection: sa.Connection, person: Identity) -> list[str]:
    """The raw files of the person's mail that no other mail has, and the exports of its data."""
    mails = load_tables().tables["inbox.email_messages"]
    own = persons.is_about(mails, person)
    others = mails.alias("others")
    about_other = sa.select(sa.literal(1)).where(
        others.c.raw_path == mails.c.raw_path,
        others.c.id.not_in(sa.select(mails.c.id).where(own)),
    )
    found = connection.execute(
        sa.select(mails.c.raw_path)
        .distinct()
        .where(own, mails.c.raw_path.is_not(None), ~sa.exists(about_other.correlate(mails)))
        .order_by(mails.c.raw_path)
    )
    exports = load_tables().tables["exports.requests"]
    own_exports = connection.execute(
        sa.select(exports.c.file).where(
            persons.is_about(exports, person), exports.c.file.is_not(None)
        )
    )
    return [*found.scalars(), *own_exports.scalars()]


def erase_rows(
    connection: sa.Connection, person: Identity, ledger: Ledger, *, now: dt.datetime
) -> None:
    """Deletes and empties the person's rows, stops its messages and programs, and suppresses it."""
    given = {"contact_ids": person.contact_ids, "now": now}
    connection.execute(_END_ENROLMENTS, given)
    connection.execute(_STOP_MESSAGES, given)
    connection.execute(_DELETE_CONTENTS, given)
    for table in persons.tables_about_persons():
        if table.fullname not in _NOT_HERE:
            _erase_from(connection, table, person)
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


def has_contents(connection: sa.Connection, person: Identity) -> bool:
    """Returns true if contents of messages that only the person has wait to be deleted."""
    return bool(connection.execute(_HAS_CONTENTS, {"contact_ids": person.contact_ids}).scalar())


def forget_mentions(connection: sa.Connection, person: Identity) -> None:
    """Replaces the person's names in free texts."""
    pattern = pattern_of(person)
    if pattern is None:
        return
    names = _any_of(person.names)
    for table in load_tables().sorted_tables:
        mentions = ownership(table).mentions
        if not mentions:
            continue
        declared = ownership(table).person
        own = (
            persons.is_about(table, person)
            if declared is not None and declared.erase != "delete"
            else sa.true()
        )
        unique = {
            column.name
            for constraint in table.constraints | table.indexes
            if isinstance(constraint, sa.UniqueConstraint | sa.PrimaryKeyConstraint)
            or (isinstance(constraint, sa.Index) and constraint.unique)
            for column in constraint.columns
        }
        _replace(connection, table, mentions, own, pattern, names, unique)
    _replace(connection, _TASKS, _OF_TASKS, sa.true(), pattern, names, {"queueing_lock"})


def pattern_of(person: Identity) -> str | None:
    """A regular expression of the names that tell the person from others; None: it has none.

    Ids of a few digits or letters are left out: they stand everywhere.
    """
    ids = [
        name
        for name in person.external_ids
        if len(name) >= (MIN_DIGITS if name.isdigit() else MIN_NAME)
    ]
    return _any_of([*person.addresses, *person.spellings, *ids])


def _any_of(names: list[str]) -> str | None:
    """A regular expression of whole words, for PostgreSQL and Python alike, longest first."""
    known = sorted({name for name in names if name}, key=lambda name: (-len(name), name))
    if not known:
        return None
    return rf"(?<!\w)(?:{'|'.join(re.escape(name) for name in known)})(?!\w)"


def _erase_from(connection: sa.Connection, table: sa.Table, person: Identity) -> None:
    declared = ownership(table).person
    assert declared is not None
    condition = persons.is_about(table, person)
    if declared.erase == "delete":
        connection.execute(sa.delete(table).where(condition))
    elif declared.erase == "empty":
        values = {
            name: _emptied(table, table.c[name], declared.by, person) for name in declared.mask
        }
        is_full = sa.or_(*(table.c[name].is_distinct_from(new) for name, new in values.items()))
        connection.execute(sa.update(table).where(condition, is_full).values(values))


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
    own: sa.ColumnElement[bool],
    pattern: str,
    names: str | None,
    unique: set[str],
) -> None:
    """Replaces names in columns of the rows that have one of them; full names only next to it."""
    texts = {name: sa.cast(table.c[name], sa.Text) for name in columns}
    found = sa.or_(*(text.op("~*")(pattern) for text in texts.values()))
    values: dict[str, Any] = {}
    for name, text in texts.items():
        instead: Any = sa.literal(REPLACED)
        if name in unique:
            instead = sa.literal(f"{REPLACED}:") + sa.cast(sa.func.gen_random_uuid(), sa.Text)
        new = sa.func.regexp_replace(text, pattern, instead, "gi")
        if names is not None:
            new = sa.func.regexp_replace(new, names, REPLACED, "gi")
        values[name] = sa.cast(new, table.c[name].type)
    connection.execute(sa.update(table).where(own, found).values(values))


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
