"""Refuses the rows of a batch that name an erased person, or begins a new relationship with it.

One statement asks the ledger about a whole batch; while nobody was erased, one that reads a row of
`ops.installation` is all.
"""

import sqlalchemy as sa

from marketing_pipelines.loading.results import Reject
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import ledger
from marketing_pipelines.stores.kinds import Kind

_CONTACTS = "crm.contacts"


class ErasedNames:
    """The gate of one kind of rows.

    Args:
        restore_consent: True: a row about an erased person is a new relationship.
    """

    def __init__(self, kind: Kind, settings: Settings, *, restore_consent: bool) -> None:
        self._settings = settings
        self._restore_consent = restore_consent
        self._given = _names_in(kind)

    def refuse(self, connection: sa.Connection, stage: str) -> list[Reject]:
        """Takes the rows out of a stage that name an erased person."""
        found = ledger.open_ledger(connection, self._settings) if self._given else None
        if found is None:
            return []
        asked = (
            "select loaded.line, named.cell, organization.id as organization_id, named.kind,"
            f" named.given from {stage} as loaded"
            " join crm.organizations as organization"
            " on organization.external_id = loaded.organization_id"
            f" cross join lateral ({' union all '.join(self._given)}) as named (cell, kind, given)"
            " where ops.is_erased("
            ":inner_block, :outer_block, organization.id, named.kind, named.given)"
            " order by loaded.line"
        )
        rows = connection.execute(sa.text(asked), found.blocks).all()
        if self._restore_consent:
            for organization_id in sorted({row.organization_id for row in rows}):
                names: dict[str, set[str]] = {}
                for row in rows:
                    if row.organization_id == organization_id:
                        names.setdefault(row.kind, set()).add(row.given)
                ledger.lift(connection, found, organization_id, names)
            return []
        refused = {row.line: Reject(row.line, row.cell, ledger.REASON) for row in reversed(rows)}
        connection.execute(
            sa.text(f"delete from {stage} where line = any(:lines)"), {"lines": list(refused)}
        )
        return sorted(refused.values())


def refuse_events(
    connection: sa.Connection, settings: Settings, *, restore_consent: bool
) -> list[Reject]:
    """Takes the events of erased persons out of the stage of a batch."""
    found = ledger.open_ledger(connection, settings)
    if found is None:
        return []
    contacts = connection.execute(_ERASED_CONTACTS, found.blocks).all()
    if not contacts:
        return []
    if restore_consent:
        for organization_id in sorted({row.organization_id for row in contacts}):
            own = [row.external_id for row in contacts if row.organization_id == organization_id]
            ledger.lift(connection, found, organization_id, {"external_id": own})
        return []
    numbers = {"numbers": [row.number for row in contacts]}
    lines = connection.execute(_REFUSE_EVENTS, numbers).scalars()
    refused = [Reject(line, "contact_id", ledger.REASON) for line in sorted(lines)]
    connection.execute(_REFUSE_CONTACTS, numbers)
    return refused


def _names_in(kind: Kind) -> list[str]:
    """The selects of a kind's names of persons: the cell, the kind of name, and the name."""
    selects = []
    for column in kind.columns:
        is_reference = column.reference is not None
        if column.reference is not None and column.reference.table.fullname == _CONTACTS:
            kinds: tuple[str, ...] = ("external_id",)
        else:
            kinds = column.names
        is_id = is_reference or column.name in kind.key
        for name in kinds:
            start = f"select '{column.name}', '{name}', "
            if column.type == "list":
                selects.append(
                    f"{start}one from jsonb_array_elements_text("
                    f"case jsonb_typeof(loaded.fields -> '{column.name}')"
                    f" when 'array' then loaded.fields -> '{column.name}' else '[]' end) as one"
                )
            elif is_id:
                selects.append(f"{start}loaded.{column.name}")
            else:
                selects.append(f"{start}loaded.fields ->> '{column.name}'")
    if kind.table.fullname == _CONTACTS:
        selects.append("select 'push_token', 'push', loaded.extras ->> 'push_token'")
    return selects


_ERASED_CONTACTS = sa.text(
    "select loaded.number, loaded.external_id, organization.id as organization_id"
    " from event_contacts as loaded"
    " join event_organizations as organization on organization.number = loaded.organization"
    " where ops.is_erased("
    ":inner_block, :outer_block, organization.id, 'external_id', loaded.external_id)"
)
_REFUSE_EVENTS = sa.text("delete from loaded_events where contact = any(:numbers) returning line")
_REFUSE_CONTACTS = sa.text("delete from event_contacts where number = any(:numbers)")
