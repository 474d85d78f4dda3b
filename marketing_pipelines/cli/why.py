"""`why`: where a contact stands, and which rows say so."""

import datetime as dt
from typing import Annotated

import typer

from marketing_pipelines.cli.output import iso
from marketing_pipelines.cli.session import connected
from marketing_pipelines.domains.crm.names import find_contact


def why(
    contact: Annotated[str, typer.Option(help="External id, or number.")],
    segment: Annotated[str, typer.Option(help="External id, or number.")],
    organization: Annotated[
        str | None, typer.Option(help="External id, or number; needed where several have it.")
    ] = None,
) -> None:
    """Say why a contact is in a segment or is not: each condition, and the row behind it."""
    from marketing_pipelines.domains.segments.explaining import explain

    with connected() as (settings, engine), engine.connect() as connection:
        organization_id, contact_id = find_contact(connection, contact, organization)
        found = explain(
            connection,
            organization_id,
            contact_id,
            segment,
            now=dt.datetime.now(dt.UTC),
            reporting_zone=settings.zone,
        )
    if found.entered_at:
        print(f"{contact} is a member of {found.segment} since {iso(found.entered_at)}.")
    elif found.left_at:
        print(f"{contact} is no member of {found.segment}; it left at {iso(found.left_at)}.")
    else:
        print(f"{contact} is no member of {found.segment} and never was.")
    if found.manual is not None:
        done = "put it in" if found.manual == "add" else "took it out"
        print(f"Somebody {done} by hand, which wins over the rule.")
    print(f"The rule {'holds' if found.holds else 'does not hold'} now.")
    if found.evaluated_at is None:
        print(
            "Its members are not those of the rule: it is new, waits for a confirmation or failed."
        )
    else:
        print(f"Members are right up to {iso(found.evaluated_at)}.")
    for line in found.lines:
        because = f"  ← {line.because}" if line.because else ""
        print(f"{'  ' * line.depth}{'true ' if line.holds else 'false'} {line.condition}{because}")
