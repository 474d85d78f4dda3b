"""`program`: campaigns, sequences and journeys rehearsed, activated, paused, resumed, cancelled."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketing_pipelines.cli.instants import instant_of
from marketing_pipelines.cli.session import OrganizationOption, connected
from marketing_pipelines.domains.crm.names import organization_number
from marketing_pipelines.failures import WrongUsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketing_pipelines.domains.delivery.named_templates.catalog import Outgoing
    from marketing_pipelines.domains.delivery.warmup_outlook import Outlook
    from marketing_pipelines.domains.lifecycle.program_kinds import ProgramKind
    from marketing_pipelines.domains.lifecycle.switching import Switched

app = typer.Typer(no_args_is_help=True)
KindArgument = Annotated[str, typer.Argument(metavar="KIND", help="campaign, sequence or journey.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="External id, or number.")]


@app.command()
def activate(kind: KindArgument, name: NameArgument, organization: OrganizationOption) -> None:
    """Start a program and print its audience; one with a step that cannot be done is refused."""
    _tell_audience(*_switch("activate", kind, name, organization))


@app.command()
def pause(kind: KindArgument, name: NameArgument, organization: OrganizationOption) -> None:
    """Stop the contacts of a program where they are; its queued messages wait as well."""
    _switch("pause", kind, name, organization)


@app.command()
def resume(kind: KindArgument, name: NameArgument, organization: OrganizationOption) -> None:
    """Let the contacts of a paused program go on, and print its audience."""
    _tell_audience(*_switch("resume", kind, name, organization))


@app.command()
def cancel(kind: KindArgument, name: NameArgument, organization: OrganizationOption) -> None:
    """End a program; the next pass ends the enrolments of its contacts."""
    done, _ = _switch("cancel", kind, name, organization)
    if done.enrolled:
        print(f"The next pass ends {_counted(done.enrolled, 'enrolment')}.")


@app.command()
def rehearse(
    kind: KindArgument,
    name: NameArgument,
    organization: OrganizationOption,
    contacts: Annotated[
        int | None,
        typer.Option(help="Most contacts, the first of those that would enter [default: 1000]."),
    ] = None,
    contact: Annotated[
        str | None, typer.Option(help="This contact alone: external id, or number.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="First instant, ISO 8601 with its zone [default: now]."),
    ] = None,
    days: Annotated[int, typer.Option(help="Days from then on.")] = 30,
    events: Annotated[
        Path | None, typer.Option(help="File of events that contacts are assumed to send.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Run the next days of a program in a database of its own; nobody gets a message."""
    from marketing_pipelines.cli.rehearsal import print_rehearsal, showing_progress
    from marketing_pipelines.domains.rehearsals.rehearsing import CONTACTS, Order, rehearse

    if contacts is not None and contact is not None:
        raise WrongUsageError("Give --contacts or --contact, not both.")
    starts_at = dt.datetime.now(dt.UTC) if since is None else instant_of("--from", since)
    known = _known_kind(kind)
    with connected() as (settings, engine):
        with engine.connect() as connection:
            number = organization_number(connection, organization)
        order = Order(
            kind=known,
            name=name,
            organization_id=number,
            starts_at=starts_at,
            days=days,
            contacts=CONTACTS if contacts is None else contacts,
            contact=contact,
            events=events,
        )
        with showing_progress(days) as on_progress:
            found = rehearse(engine, settings, order, on_progress)
    print_rehearsal(found, as_json=json)


def _known_kind(kind: str) -> "ProgramKind":
    from marketing_pipelines.domains import load_tasks
    from marketing_pipelines.domains.lifecycle.program_kinds import declared

    load_tasks()
    if kind not in declared():
        raise WrongUsageError(f"'{kind}' is no kind of program: name {', '.join(declared())}.")
    return declared()[kind]


def _switch(
    verb: str, kind: str, name: str, organization: str
) -> "tuple[Switched, Sequence[Outlook]]":
    from marketing_pipelines.domains.delivery.warmup_outlook import outlook_of_audience
    from marketing_pipelines.domains.lifecycle.switching import switch

    known = _known_kind(kind)
    with connected() as (_, engine), engine.begin() as connection:
        number = organization_number(connection, organization)
        now = dt.datetime.now(dt.UTC)
        done = switch(connection, number, known, name, verb, now=now)
        mails = sum(_reached(row) for row in done.audience if row.channel == "email")
        outlooks = {
            domain_id: outlook_of_audience(
                connection, number, mails, now, domain_id=domain_id, valid_for=valid_for
            )
            for domain_id, valid_for in _valid_by_domain(done.mails).items()
            if mails
        }
    already = "" if done.has_changed else " already"
    print(f"{done.program.name} is {done.status}{already}.")
    return done, [one for one in outlooks.values() if one is not None]


def _valid_by_domain(mails: "Sequence[Outgoing]") -> dict[int | None, str | None]:
    """The expiry of the first mail from each domain."""
    return {mail.domain_id: mail.valid_for for mail in reversed(mails)}


def _reached(row: Any) -> int:
    return int(row.enrolled - row.suppressed - row.without_address)


def _tell_audience(done: "Switched", outlooks: "Sequence[Outlook]") -> None:
    enrolled = _counted(done.enrolled, "contact")
    print(f"{enrolled} {'is' if done.enrolled == 1 else 'are'} enrolled.")
    if not done.has_steps:
        print("It has no steps, so nothing moves.")
    for row in done.audience:
        print(
            f"{row.channel}: {_reached(row):,} of {row.enrolled:,} can be written to; "
            f"{row.suppressed:,} suppressed, {row.without_address:,} without address."
        )
    for outlook in outlooks:
        print(outlook)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
