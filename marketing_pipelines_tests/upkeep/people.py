"""Two people with a row in every table that can be about a person, made from the declarations.

A table of a later part gets its rows by itself; where a check wants certain values, `VALUES` names
them.
"""

import datetime as dt
import re
import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import ownership
from marketing_pipelines.stores.tables import load_tables
from marketing_pipelines_tests.installation import Installation

TABLES = load_tables()
AT = dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)
# Rows of events come by `load`; the others are of no person and of no text of one.
ELSEWHERE = {"analytics.contact_activity", "analytics.event_keys", "ops.erasures"}
_CHOICES = re.compile(r"(?:[\w.]+\.)?(\w+) in \('([^']*)'")
VALUES: dict[str, dict[str, Any]] = {
    "crm.contacts": {"timezone": "Europe/Berlin", "intent_band": "low", "lead_status": "new"},
    "crm.organizations": {"external_id": "acme", "timezone": "UTC"},
    "delivery.messages": {"user_id": None, "state": "queued", "bounce": None},
    "delivery.suppressions": {"contact_id": None, "address_hash": None, "until": None},
    "lifecycle.enrolments": {"status": "active", "next_step_at": AT, "program_kind": "campaign"},
    "lifecycle.step_results": {"outcome": "done", "way": None},
    "inbox.email_messages": {"direction": "in", "share": "full"},
    "sales.stale_deals": {"ended_at": None, "ended_by": None},
    "forms.submissions": {"missing_since": None},
    "actions.scheduled_actions": {"run_at": AT, "next_at": AT},
}


@dataclass
class Someone:
    """A person, and the numbers of its rows by table."""

    number: int
    first_name: str
    last_name: str
    email: str
    phone: str
    external_id: str
    push_token: str
    rows: dict[str, Any]

    @property
    def normalised(self) -> str:
        return self.email.lower()

    @property
    def sentence(self) -> str:
        """A text that names the person in every way."""
        return (
            f"{self.first_name} {self.last_name} <{self.email}> is {self.external_id}, reached at "
            f"{self.phone} or {self.phone.replace(' ', '')}, {self.push_token}."
        )

    @property
    def traces(self) -> list[str]:
        """Texts that tell who the person is, in lower case."""
        return [
            name.lower()
            for name in (
                self.email,
                self.phone,
                self.phone.replace(" ", ""),
                self.external_id,
                self.push_token,
                f"{self.first_name} {self.last_name}",
            )
        ]


def erika() -> Someone:
    """The person to erase."""
    return Someone(
        1, "Erika", "Mustermann", "Erika.M@Example.org", "+49 151 2345678", "crm-erika-4711",
        "push-erika-0815", {},
    )  # fmt: skip


def john() -> Someone:
    """Another person of the same organization."""
    return Someone(
        2, "John", "Other", "John.O@Example.org", "+49 151 8765432", "crm-john-4712",
        "push-john-0816", {},
    )  # fmt: skip


def fill(site: Installation, people: list[Someone]) -> None:
    """Gives each of the people a row in every table about persons or with free texts."""
    with site.engine.begin() as connection:
        connection.exec_driver_sql("set local session_replication_role = replica")
        shared = {"crm.organizations": _add(connection, "crm.organizations", people[0], {})}
        for someone in people:
            someone.rows |= shared
            _task(connection, someone)
            for table in TABLES.sorted_tables:
                if _is_wanted(table) and table.fullname not in someone.rows:
                    _ensure(connection, table, someone)
    with site.engine.begin() as connection:
        # What triggers would have written.
        connection.exec_driver_sql("update crm.contacts set first_name = first_name")


def _is_wanted(table: sa.Table) -> bool:
    declared = ownership(table)
    is_personal = declared.person is not None or bool(declared.mentions)
    return is_personal and table.fullname not in ELSEWHERE


def _ensure(connection: sa.Connection, table: sa.Table, someone: Someone) -> Any:
    """The key of the person's row in a table, which is added with those that it refers to."""
    if table.fullname not in someone.rows:
        someone.rows[table.fullname] = None
        person = ownership(table).person
        needed = {
            key.column.table.fullname
            for column in table.columns
            for key in column.foreign_keys
            if not column.nullable
        } & set(TABLES.tables)
        if person is not None:
            needed |= {of for of in (person.of, "crm.contacts") if of}
        for name in sorted(needed - {table.fullname}):
            _ensure(connection, TABLES.tables[name], someone)
        someone.rows[table.fullname] = _add(connection, table.fullname, someone, someone.rows)
    return someone.rows[table.fullname]


def _add(connection: sa.Connection, name: str, someone: Someone, rows: dict[str, Any]) -> Any:
    table = TABLES.tables[name]
    values = {
        column.name: value
        for column in table.columns
        if (value := _value(table, column, someone, rows)) is not _LEFT_OUT
    }
    if name == "crm.contacts":
        values |= {
            "external_id": someone.external_id,
            "email": someone.email,
            "phone": someone.phone,
            "first_name": someone.first_name,
            "last_name": someone.last_name,
            "attributes": {"push_token": someone.push_token, "note": someone.sentence},
        }
    insert = sa.insert(table).values(**(values | VALUES.get(name, {})))
    key = next(iter(table.primary_key.columns), None)
    if key is None:
        connection.execute(insert)
        return None
    return connection.execute(insert.returning(key)).scalar_one()


_LEFT_OUT = object()


def _value(table: sa.Table, column: sa.Column[Any], someone: Someone, rows: dict[str, Any]) -> Any:
    """A value of the person's row, or none where the column does well without."""
    declared = ownership(table)
    person = declared.person
    if column.identity is not None:
        return _LEFT_OUT
    if person is not None and column.name == person.by:
        if person.of is not None:
            return rows[person.of]
        if _is_text(column):
            given = someone.external_id
            return [given, "rep@acme.example"] if isinstance(column.type, sa.ARRAY) else given
        number = rows.get("crm.contacts")
        return [number] if isinstance(column.type, sa.ARRAY) else number
    if person is not None and column.name in person.addresses:
        given = someone.normalised
        return [given] if isinstance(column.type, sa.ARRAY) else given
    for key in column.foreign_keys:
        if key.column.table.fullname in rows:
            return rows[key.column.table.fullname]
    named = {*declared.mentions, *(person.mask if person else ())}
    if column.name in named:
        return _text(column, someone)
    choice = _choice(table, column.name)
    if choice is not None:
        return choice
    if column.nullable or column.server_default is not None:
        return _LEFT_OUT
    return _plain(column, someone)


def _text(column: sa.Column[Any], someone: Someone) -> Any:
    if isinstance(column.type, pg.JSONB):
        default = str(getattr(column.server_default, "arg", ""))
        told = {"told": someone.sentence}
        return [told] if "[]" in default else told
    if isinstance(column.type, sa.ARRAY):
        return [someone.sentence]
    if isinstance(column.type, sa.Text):
        return someone.sentence
    return _LEFT_OUT if column.nullable else _plain(column, someone)


def _plain(column: sa.Column[Any], someone: Someone) -> Any:
    kind = column.type
    if isinstance(kind, sa.ARRAY):
        return []
    if isinstance(kind, pg.JSONB):
        return {}
    if isinstance(kind, sa.DateTime):
        return AT + dt.timedelta(seconds=someone.number)
    if isinstance(kind, sa.Date):
        return AT.date() + dt.timedelta(days=someone.number)
    if isinstance(kind, sa.Interval | pg.INTERVAL):
        return dt.timedelta(hours=someone.number)
    if isinstance(kind, sa.Boolean):
        return False
    if isinstance(kind, sa.Uuid):
        return uuid.uuid4()
    if isinstance(kind, sa.LargeBinary):
        return bytes([someone.number])
    if isinstance(kind, sa.Text | sa.String):
        return f"plain {someone.number}"
    return someone.number


def _choice(table: sa.Table, name: str) -> str | None:
    """The first value that a check of the table allows."""
    for constraint in table.constraints:
        if isinstance(constraint, sa.CheckConstraint):
            for column, value in _CHOICES.findall(str(constraint.sqltext)):
                if column == name:
                    return str(value)
    return None


def _is_text(column: sa.Column[Any]) -> bool:
    kind = column.type.item_type if isinstance(column.type, sa.ARRAY) else column.type
    return isinstance(kind, sa.Text)


def _task(connection: sa.Connection, someone: Someone) -> None:
    """A task whose arguments name the person."""
    someone.rows["procrastinate_jobs"] = connection.execute(
        sa.text(
            "insert into procrastinate_jobs (queue_name, task_name, args, lock)"
            " values ('trials', 'trial', jsonb_build_object('told', cast(:told as text)), :told)"
            " returning id"
        ),
        {"told": someone.sentence},
    ).scalar_one()
