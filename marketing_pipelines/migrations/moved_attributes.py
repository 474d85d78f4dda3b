"""Attributes that move into new columns of the same name, row by row.

A name is a column before it is an attribute. Without the move, rules that name the attribute would
read the empty column from the migration on. A migration that adds columns to a table with
`attributes` calls `move_attributes`; rules give the same answers before and after it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from alembic import op

from marketing_pipelines.stores.schema import run_sql

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MovedAttribute:
    """A new column, and the values of the attribute that fit it.

    Attributes:
        type: `list` takes JSON lists, and text whose values are parted by semicolons.
        choices: The only texts that fit; none: all.
        least: The smallest number that fits.
        most: The greatest number that fits.
    """

    name: str
    type: Literal["text", "integer", "boolean", "instant", "list"] = "text"
    choices: tuple[str, ...] = ()
    least: int = -(2**31)
    most: int = 2**31 - 1

    @property
    def fitting(self) -> str:
        """SQL of the column's value, null where the attribute's value does not fit."""
        value = f"row.attributes -> '{self.name}'"
        read = f"pg_temp.moved_{self.type}({value})"
        if self.type == "instant":
            return f"pg_temp.moved_instant({value}, zone.name)"
        if self.type == "integer":
            return f"pg_temp.moved_integer({value}, {self.least}, {self.most})"
        if self.choices:
            listed = ", ".join(f"'{choice}'" for choice in self.choices)
            return f"case when {read} in ({listed}) then {read} end"
        return read


# Copies of the functions by which rules read attributes: a migration calls none of `schema/`.
_READERS = r"""
create function pg_temp.moved_present(value jsonb) returns boolean language sql immutable as $$
    select value is not null and value not in ('null'::jsonb, '""'::jsonb, '[]'::jsonb)
$$;
create function pg_temp.moved_text(value jsonb) returns text language sql immutable as $$
    select case when jsonb_typeof(value) in ('string', 'number', 'boolean')
        then nullif(value #>> '{}', '') end
$$;
create function pg_temp.moved_integer(value jsonb, lowest bigint, highest bigint) returns integer
language sql immutable as $$
    select case
        when pg_temp.moved_text(value) ~ '^[+-]?[0-9]{1,18}(\.0*)?$'
            and jsonb_typeof(value) <> 'boolean'
            and trunc(pg_temp.moved_text(value)::numeric) between lowest and highest
        then trunc(pg_temp.moved_text(value)::numeric)::integer
    end
$$;
create function pg_temp.moved_boolean(value jsonb) returns boolean language sql immutable as $$
    select case lower(pg_temp.moved_text(value)) when 'true' then true when 'false' then false end
$$;
create function pg_temp.moved_list(value jsonb) returns text[] language sql immutable as $$
    select case
        when jsonb_typeof(value) = 'array'
            and not jsonb_path_exists(
                value, '$[*] ? (@.type() == "object" || @.type() == "array" || @.type() == "null")')
        then nullif(array(select jsonb_array_elements_text(value)), '{}')
        when pg_temp.moved_text(value) is not null then nullif(array(
            select btrim(part)
            from unnest(string_to_array(pg_temp.moved_text(value), ';')) with ordinality
                as parts (part, place)
            where btrim(part) <> ''
            order by place
        ), '{}')
    end
$$;
create function pg_temp.moved_instant(given jsonb, zone text) returns timestamptz
language plpgsql stable as $$
declare
    value text := pg_temp.moved_text(given);
begin
    if value is null or left(value, 4) = '0000'
        or value !~ ('^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])'
            '([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?'
            '(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])?)?$')
        or substr(value, 9, 2)::integer > extract(
            day from (left(value, 8) || '01')::date + interval '1 month' - interval '1 day')
    then
        return null;
    end if;
    if value ~ '(Z|[+-][0-9]{2}:?[0-9]{2})$' and length(value) > 16 then
        return value::timestamptz;
    end if;
    return value::timestamp at time zone zone;
end $$;
"""
_DROP_READERS = """
drop function pg_temp.moved_instant(jsonb, text);
drop function pg_temp.moved_list(jsonb);
drop function pg_temp.moved_boolean(jsonb);
drop function pg_temp.moved_integer(jsonb, bigint, bigint);
drop function pg_temp.moved_text(jsonb);
drop function pg_temp.moved_present(jsonb);
"""
_NAMING = sa.text("""
    with naming as (
        select 'segment' as kind, organization_id, external_id, rule as document
        from segments.segments
        union all
        select 'step', organization_id, external_id, config from lifecycle.steps
        union all
        select 'trigger', organization_id, external_id, config from lifecycle.triggers
    )
    select naming.kind, organization.external_id as organization, naming.external_id
    from naming
    join crm.organizations as organization on organization.id = naming.organization_id
    where jsonb_path_exists(
            document, '$.** ? (@.attribute == $name || @.attribute starts with $below)',
            jsonb_build_object('name', cast(:name as text), 'below', cast(:below as text)))
        or jsonb_path_exists(
            document, '$.set.keyvalue() ? (@.key == $name)',
            jsonb_build_object('name', cast(:name as text)))
    order by 1, 2, 3
""")


def move_attributes(table: str, moved: Sequence[MovedAttribute]) -> None:
    """Moves the values that fit into the columns, which the migration has added before.

    A value that does not fit stays as the attribute `{name}_before`. The log counts the values of
    each name, and lists the segments, steps and triggers that name it.

    Args:
        table: With its schema; it has `attributes` and `organization_id`.
    """
    connection = op.get_bind()
    run_sql(_READERS)
    connection.exec_driver_sql(_read_statement(table, moved))
    row = connection.exec_driver_sql(
        "select "
        + ", ".join(_counts(one, place) for place, one in enumerate(moved))
        + " from moved_attributes"
    ).one()
    connection.exec_driver_sql(_move_statement(table, moved))
    if table == "crm.contacts":
        _note_fields()
    connection.exec_driver_sql("drop table moved_attributes")
    run_sql(_DROP_READERS)
    for place, one in enumerate(moved):
        _tell(connection, table, one.name, row[2 * place], row[2 * place + 1])


def _counts(one: MovedAttribute, place: int) -> str:
    return (
        f"count(*) filter (where value_{place} is not null),"
        f" count(*) filter (where before ? '{one.name}_before')"
    )


def _read_statement(table: str, moved: Sequence[MovedAttribute]) -> str:
    names = ", ".join(f"'{one.name}'" for one in moved)
    values = ", ".join(f"{one.fitting} as value_{place}" for place, one in enumerate(moved))
    misfits = " || ".join(
        f"case when pg_temp.moved_present(row.attributes -> '{one.name}')"
        f" and {one.fitting} is null"
        f" then jsonb_build_object('{one.name}_before', row.attributes -> '{one.name}')"
        " else '{}' end"
        for one in moved
    )
    return (
        "create temporary table moved_attributes as"
        f" select row.id, {values}, {misfits} as before"
        f" from {table} as row"
        " join crm.organizations as organization on organization.id = row.organization_id"
        " cross join lateral (select coalesce(organization.timezone,"
        " (select timezone from ops.installation), 'UTC') as name) as zone"
        f" where row.attributes ?| array[{names}]"
    )


def _move_statement(table: str, moved: Sequence[MovedAttribute]) -> str:
    names = ", ".join(f"'{one.name}'" for one in moved)
    columns = ", ".join(
        f"{one.name} = coalesce(moved.value_{place}, row.{one.name})"
        for place, one in enumerate(moved)
    )
    return (
        f"update {table} as row set {columns},"
        f" attributes = (row.attributes - array[{names}]) || moved.before"
        " from moved_attributes as moved where moved.id = row.id"
    )


def _note_fields() -> None:
    """Makes the attributes that stayed known to rules."""
    op.execute(
        "insert into segments.contact_fields (organization_id, field)"
        " select distinct contact.organization_id, kept.field"
        " from moved_attributes as moved join crm.contacts as contact using (id)"
        " cross join jsonb_object_keys(moved.before) as kept (field)"
        " on conflict do nothing"
    )


def _tell(connection: sa.Connection, table: str, name: str, fitted: int, misfits: int) -> None:
    if not fitted and not misfits:
        return
    told = f"{table}: {fitted} values of the attribute '{name}' moved into the column"
    if misfits:
        told += f"; {misfits} that do not fit stay as the attribute '{name}_before'"
    if table == "crm.contacts":
        found = connection.execute(_NAMING, {"name": name, "below": f"{name}."}).all()
        named = ", ".join(f"{one.kind} {one.external_id} of {one.organization}" for one in found)
        told += f"; named by {named}" if found else ""
    _logger.warning("%s.", told)
