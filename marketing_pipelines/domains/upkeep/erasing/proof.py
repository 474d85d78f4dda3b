"""The proof of an erasure: numbers of rows and files, without the person's data."""

from collections.abc import Iterator
from typing import Any

from marketing_pipelines.stores.ownership import ownership
from marketing_pipelines.stores.tables import load_tables

_TREATMENT = {"delete": "deleted", "empty": "emptied", "keep": "kept without names"}


def sentences(row: Any) -> Iterator[str]:
    """The lines of a proof, without the person's data."""
    yield f"Erasure {row.id}, asked for at {row.requested_at:%Y-%m-%d %H:%M} UTC."
    proof = row.proof
    if "rows" in proof:
        yield "Rows of the person before and after it:"
        yield from treated(proof["rows"])
    for kind, number in sorted(proof.get("files", {}).items()):
        yield f"{kind}: {number} removed or rewritten"
    if "lake" in proof:
        lake = proof["lake"]
        yield (
            f"Events: {lake['events']} erased, {lake['files']} files of the lake rewritten at "
            f"{row.lake_done_at:%Y-%m-%d %H:%M} UTC, for all persons of that pass."
        )
    else:
        yield "Events: erased by the next run of upkeep/erasures (`marketing-pipelines timetable`)."
    if proof.get("shared_addresses"):
        yield (
            f"{proof['shared_addresses']} of the addresses belong to another contact too and stay: "
            "`privacy erase --address` erases all contacts with an address."
        )
    backups = proof.get("backups", {})
    for backup, expires in sorted(backups.items()):
        yield (
            f"Backup {backup} holds the person until a later one removes it, on {expires} if one "
            "is made each day; a restore of it erases the person again."
        )
    if backups:
        yield f"No backup holds the person after {max(backups.values())}, if one is made each day."
    for problem in proof.get("problems", ()):
        yield f"To be done: {problem}"


def treated(rows: dict[str, list[int]]) -> Iterator[str]:
    """A line for each table: its treatment, and rows before and after it, or only before it."""
    tables = load_tables().tables
    for name, numbers in sorted(rows.items()):
        person = ownership(tables[name]).person
        done = _TREATMENT[person.erase] if person is not None else "changed"
        yield f"  {name}: {' → '.join(f'{number:,}' for number in numbers)} ({done})"
