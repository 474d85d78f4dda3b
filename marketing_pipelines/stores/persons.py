"""The rows of a person in every table, found by the declarations of the tables.

A person is a contact, or all contacts of an organization that have one address. Exports and
erasures loop over `tables_about_persons` and ask each table for `rows_of`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import Person, ownership
from marketing_pipelines.stores.tables import load_tables

_KINDS = ("external_id", "email", "sms", "push")


@dataclass(frozen=True)
class Identity:
    """The numbers and names by which rows lead to a person.

    Attributes:
        contact_ids: Numbers of the person's contacts.
        external_ids: External ids of these contacts.
        by_channel: Normalised addresses by channel that no other contact of the organization has:
            rows with an address that somebody else has too are not the person's alone.
        shared: The addresses that another contact of the organization has too.
        names: First and last names, each with a blank in between, where a contact has both.
        spellings: The addresses as they were given.
    """

    organization_id: int
    contact_ids: list[int]
    external_ids: list[str] = field(default_factory=list)
    by_channel: dict[str, list[str]] = field(default_factory=dict)
    shared: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    spellings: list[str] = field(default_factory=list)

    @property
    def addresses(self) -> list[str]:
        """The addresses of all channels."""
        return sorted({address for some in self.by_channel.values() for address in some})


def find_address(connection: sa.Connection, organization_id: int, address: str) -> Identity | None:
    """The person with an address: every contact of the organization that has it; None: no contact.

    Args:
        address: An e-mail address, a phone number or a push token, in any spelling.
    """
    found = connection.execute(
        _read("contacts_of_address"), {"organization": organization_id, "address": address}
    )
    ids = list(found.scalars())
    return identity_of(connection, organization_id, ids) if ids else None


def identity_of(
    connection: sa.Connection, organization_id: int, contact_ids: list[int]
) -> Identity:
    """The present names of contacts."""
    row = connection.execute(
        _read("identity"), {"organization": organization_id, "contact_ids": contact_ids}
    ).one()
    return Identity(organization_id, contact_ids, **row._mapping)


def names_in_rows(
    connection: sa.Connection,
    blocks: Mapping[str, bytes | None],
    organization_id: int,
    hashes: Sequence[str],
) -> dict[str, list[tuple[str, str, str]]]:
    """The names in rows of an organization whose keyed hashes are given.

    Contacts may be missing: the texts and addresses that lead to a person are read in each table.

    Args:
        blocks: Of the key, as `Ledger.blocks`.

    Returns:
        By hash: kind (`external_id` or a channel), the name as it is normalised, and as it stands.
    """
    given = [
        sa.select(sa.cast(_each(table.c[name]), sa.Text).label("given")).where(
            table.c.organization_id == organization_id
        )
        for table in tables_about_persons()
        if "organization_id" in table.c
        for name in _columns_with_names(table)
    ]
    named = sa.union(*given).subquery("named")
    kinds = (
        sa.func.unnest(sa.literal(list(_KINDS), pg.ARRAY(sa.Text)))
        .table_valued("kind")
        .render_derived(name="kinds")
    )
    kind = kinds.c.kind
    name_hash = sa.func.ops.erasure_hash(
        sa.literal(blocks["inner_block"], sa.LargeBinary),
        sa.literal(blocks["outer_block"], sa.LargeBinary),
        sa.cast(organization_id, sa.BigInteger),
        kind,
        named.c.given,
    )
    name = sa.case(
        (kind == "external_id", named.c.given),
        else_=sa.func.delivery.address_of(kind, named.c.given),
    )
    query = (
        sa.select(name_hash.label("hash"), kind, name.label("name"), named.c.given)
        .select_from(named.join(kinds, sa.true()))
        .where(name_hash == sa.any_(sa.literal(list(hashes), pg.ARRAY(sa.Text))))
    )
    found: dict[str, list[tuple[str, str, str]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.hash, []).append((row.kind, row.name, row.given))
    return found


def tables_about_persons(*, exported: bool = False) -> Iterator[sa.Table]:
    """Tables with rows about persons, those reached through another before that other.

    Args:
        exported: True: only the tables that belong into the export of a person's data.
    """
    tables = load_tables()
    about = {
        table.fullname: person
        for table in tables.sorted_tables
        if (person := ownership(table).person) is not None
    }

    def depth(name: str) -> int:
        person = about[name]
        above = [of for of in (person.of, person.otherwise and person.otherwise[1]) if of]
        return 1 + max(map(depth, above), default=0)

    for name in sorted(about, key=lambda name: (-depth(name), name)):
        if about[name].export or not exported:
            yield tables.tables[name]


def rows_of(table: sa.Table, person: Identity) -> sa.Select[Any]:
    """The person's rows of a table, all columns, in the order of its key."""
    return sa.select(table).where(is_about(table, person)).order_by(*table.primary_key)


def is_about(table: sa.Table, person: Identity) -> sa.ColumnElement[bool]:
    """The condition that a row of a table is about the person.

    Raises:
        KeyError: rows of the table are about no contact.
    """
    declared = ownership(table).person
    if declared is None:
        raise KeyError(f"{table.fullname} declares no person")
    by = table.c[declared.by]
    ways = [_leads_to(by, declared, person)]
    if declared.otherwise is not None:
        column, of = declared.otherwise
        other = load_tables().tables[of]
        ids = sa.select(other.c.id).where(is_about(other, person))
        ways.append(sa.and_(by.is_(None), table.c[column].in_(ids)))
    for name in declared.addresses:
        has_address = _names(table.c[name], person.addresses)
        if "organization_id" not in table.c:
            has_address = sa.and_(by.is_(None), has_address)
        ways.append(has_address)
    condition = sa.or_(*ways)
    if "organization_id" in table.c:
        condition = sa.and_(table.c.organization_id == person.organization_id, condition)
    return condition


def _leads_to(by: sa.Column[Any], declared: Person, person: Identity) -> sa.ColumnElement[bool]:
    if declared.of is not None:
        other = load_tables().tables[declared.of]
        return by.in_(sa.select(other.c.id).where(is_about(other, person)))
    if _is_text(by):
        return _names(by, [*person.external_ids, *person.addresses])
    ids = sa.literal(person.contact_ids, pg.ARRAY(sa.BigInteger))
    if isinstance(by.type, sa.ARRAY):
        return sa.type_coerce(by.overlap(ids), sa.Boolean())
    return by == sa.any_(ids)


def _names(column: sa.Column[Any], names: list[str]) -> sa.ColumnElement[bool]:
    """The condition that a text, or one of a list, is one of these names.

    Addresses compare as they are normalised; ids have the case that they have.
    """
    wanted = sa.literal(names, pg.ARRAY(sa.Text))
    if not isinstance(column.type, sa.ARRAY):
        return sa.or_(column == sa.any_(wanted), sa.func.lower(column) == sa.any_(wanted))
    lowered = sa.cast(sa.func.lower(sa.cast(column, sa.Text)), pg.ARRAY(sa.Text))
    return sa.or_(column.overlap(wanted), lowered.overlap(wanted))


def _columns_with_names(table: sa.Table) -> Iterator[str]:
    """The columns of a table that hold external ids or addresses of the persons of its rows."""
    declared = ownership(table).person
    assert declared is not None
    if declared.of is None and _is_text(table.c[declared.by]):
        yield declared.by
    yield from declared.addresses


def _each(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    return sa.func.unnest(column) if isinstance(column.type, sa.ARRAY) else column


def _is_text(column: sa.Column[Any]) -> bool:
    kind = column.type.item_type if isinstance(column.type, sa.ARRAY) else column.type
    return isinstance(kind, sa.Text)


def _read(name: str) -> sa.TextClause:
    return sa.text((resources.files(__package__) / "sql" / f"{name}.sql").read_text())
