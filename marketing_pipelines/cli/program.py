"""`program`: campaigns, sequences and journeys activated, paused, resumed and cancelled by hand."""

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketing_pipelines.cli.session import OrganizationOption, connected
from marketing_pipelines.domains.crm.names import organization_number
from marketing_pipelines.failures import WrongUsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketing_pipelines.domains.delivery.named_templates.catalog import Outgoing
    from marketing_pipelines.domains.delivery.warmup_outlook import Outlook
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


def _switch(
    verb: str, kind: str, name: str, organization: str
) -> "tuple[Switched, Sequence[Outlook]]":
    from marketing_pipelines.domains import load_tasks
    from marketing_pipelines.domains.delivery.warmup_outlook import outlook_of_audience
    from marketing_pipelines.domains.lifecycle.program_kinds import declared
    from marketing_pipelines.domains.lifecycle.switching import switch

    load_tasks()
    if kind not in declared():
        raise WrongUsageError(f"'{kind}' is no kind of program: name {', '.join(declared())}.")
    with connected() as (_, engine), engine.begin() as connection:
        number = organization_number(connection, organization)
        now = dt.datetime.now(dt.UTC)
        done = switch(connection, number, declared()[kind], name, verb, now=now)
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
