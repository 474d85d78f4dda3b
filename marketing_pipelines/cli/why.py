"""`why`: where a contact stands, its scores, which rows say so; why numbers of a day changed."""

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import sqlalchemy as sa
import typer

from marketing_pipelines.cli.session import connected
from marketing_pipelines.cli.why_restated import of_restatements
from marketing_pipelines.cli.why_scores import of_scores
from marketing_pipelines.domains.crm.names import find_contact
from marketing_pipelines.failures import WrongUsageError
from marketing_pipelines.settings import Settings

if TYPE_CHECKING:
    from marketing_pipelines.domains.lifecycle.explaining import Enrolment

NameOption = Annotated[str | None, typer.Option(help="External id, or number.")]


def why(
    contact: NameOption = None,
    campaign: NameOption = None,
    journey: NameOption = None,
    sequence: NameOption = None,
    segment: NameOption = None,
    organization: Annotated[
        str | None, typer.Option(help="External id, or number; needed where several have it.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="Instant with zone for which scores are computed; default: now."),
    ] = None,
    date: Annotated[
        str | None, typer.Option(help="Day whose numbers changed, with --campaign alone.")
    ] = None,
) -> None:
    """Explain a contact's place in a program or segment, its scores, or a campaign's day.

    Without a program or segment: its scores; with --campaign and --date: changed numbers.
    """
    asked = {"campaign": campaign, "journey": journey, "sequence": sequence, "segment": segment}
    named = [(kind, name) for kind, name in asked.items() if name is not None]
    if len(named) > 1:
        raise WrongUsageError("Name one of --campaign, --journey, --sequence and --segment.")
    if contact is None or date is not None:
        if contact or campaign is None or date is None or at is not None:
            raise WrongUsageError("Give --contact, or --campaign with --date.")
        of_restatements(campaign, organization, date)
        return
    if named and at is not None:
        raise WrongUsageError("--at is for scores: leave it out, or name no program or segment.")
    if not named:
        of_scores(contact, organization, at)
        return
    [(kind, name)] = named
    with connected() as (settings, engine), engine.connect() as connection:
        place = find_contact(connection, contact, organization)
        if kind == "segment":
            _of_segment(connection, settings, contact, place, name)
        else:
            _of_program(connection, settings, contact, place, kind, name)


def _of_program(
    connection: sa.Connection,
    settings: Settings,
    contact: str,
    place: tuple[int, int],
    kind: str,
    name: str,
) -> None:
    from marketing_pipelines.domains import load_tables
    from marketing_pipelines.domains.lifecycle.explaining import explain
    from marketing_pipelines.domains.lifecycle.program_kinds import declared

    load_tables()
    found = explain(
        connection,
        *place,
        declared()[kind],
        name,
        now=dt.datetime.now(dt.UTC),
        reporting_zone=settings.zone,
    )
    if not found.enrolments:
        print(f"{contact} never was in {found.program}, which is {found.status}.")
    elif found.enrolments[-1].status == "active":
        print(f"{contact} is in {found.program}, which is {found.status}.")
    else:
        print(f"{contact} was in {found.program}, which is {found.status}.")
    for sentence in found.entry_rules:
        print(sentence)
    if found.earlier:
        print(f"It was in it {found.earlier} times before these.")
    for enrolment in found.enrolments:
        _tell(enrolment, is_one_of_several=found.earlier > 0 or len(found.enrolments) > 1)


def _tell(enrolment: "Enrolment", *, is_one_of_several: bool) -> None:
    from marketing_pipelines.domains.segments.explaining import written_instant

    if is_one_of_several:
        print(f"Time {enrolment.rotation}:")
    by = f", enrolled by trigger {enrolment.trigger}" if enrolment.trigger else ""
    print(f"It entered at {written_instant(enrolment.entered_at)}{by}.")
    for one in enrolment.happened:
        because = f"  ← {one.because}" if one.because else ""
        print(f"  {written_instant(one.at)}  {one.step}: {one.outcome}{because}")
    if enrolment.ended_at is not None:
        ended = "was canceled" if enrolment.status == "canceled" else enrolment.status
        because = f": {enrolment.reason}" if enrolment.reason else ""
        print(f"It {ended} at {written_instant(enrolment.ended_at)}{because}.")
    else:
        print(f"It stands at {enrolment.step} since {written_instant(enrolment.since)}.")
    for sentence in enrolment.following:
        print(sentence)


def _of_segment(
    connection: sa.Connection,
    settings: Settings,
    contact: str,
    place: tuple[int, int],
    segment: str,
) -> None:
    from marketing_pipelines.domains.segments.explaining import explain, written_instant

    found = explain(
        connection,
        *place,
        segment,
        now=dt.datetime.now(dt.UTC),
        reporting_zone=settings.zone,
    )
    if found.entered_at:
        print(
            f"{contact} is a member of {found.segment} since {written_instant(found.entered_at)}."
        )
    elif found.left_at:
        left_at = written_instant(found.left_at)
        print(f"{contact} is no member of {found.segment}; it left at {left_at}.")
    else:
        print(f"{contact} is no member of {found.segment} and never was.")
    if found.manual is not None:
        done = "put in" if found.manual == "add" else "taken out"
        print(f"It was {done} by hand, which wins over the rule.")
    print(f"The rule {'holds' if found.holds else 'does not hold'} now.")
    if found.evaluated_at is None:
        print(
            "Its members are not those of the rule: it is new, waits for a confirmation or failed."
        )
    else:
        print(f"Members are right up to {written_instant(found.evaluated_at)}.")
    for line in found.lines:
        because = f"  ← {line.because}" if line.because else ""
        print(f"{'  ' * line.depth}{'true ' if line.holds else 'false'} {line.condition}{because}")
    for note in found.notes:
        print(f"note: {note}")
