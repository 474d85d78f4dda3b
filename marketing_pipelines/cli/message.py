"""`message …`: a message printed as a contact would get it, and test copies of it."""

import datetime as dt
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Annotated

import sqlalchemy as sa
import typer

from marketing_pipelines.cli.session import OrganizationOption, connected
from marketing_pipelines.domains.crm.names import find_contact
from marketing_pipelines.failures import BadInputError, WrongUsageError

if TYPE_CHECKING:
    from marketing_pipelines.domains.delivery.named_templates.catalog import Wanted
    from marketing_pipelines.domains.delivery.previewing import Preview
    from marketing_pipelines.domains.delivery.rendering import Rendered
    from marketing_pipelines.domains.lifecycle.programs import Program
    from marketing_pipelines.settings import Settings

app = typer.Typer(no_args_is_help=True)
ContactOption = Annotated[str, typer.Option("--contact", help="External id, or number.")]
TemplateOption = Annotated[str | None, typer.Option("--template", help="Id of a template.")]
ProgramOption = Annotated[
    str | None, typer.Option("--program", help="Program of the step: external id, or number.")
]
StepOption = Annotated[str | None, typer.Option("--step", help="Name of a step that sends.")]
KindOption = Annotated[
    str | None, typer.Option("--kind", help="Kind of the program, where several have the name.")
]
AddressOption = Annotated[
    str | None, typer.Option("--to", help="Recipient; the contact's address by default.")
]
SIGNATURE = (
    "The relay signs mails. Look at the source of the received mail: the tag h= of its header "
    "DKIM-Signature must name list-unsubscribe and list-unsubscribe-post, since mail programs "
    "ignore an unsigned List-Unsubscribe-Post."
)


@app.command()
def preview(
    contact: ContactOption,
    organization: OrganizationOption,
    template: TemplateOption = None,
    program: ProgramOption = None,
    step: StepOption = None,
    kind: KindOption = None,
    to: AddressOption = None,
) -> None:
    """Print a message as a contact would get it now."""
    _, found = _preview(contact, organization, template, program, step, kind, to, is_test=False)
    _print_message(found.message)


@app.command("test")
def send_copy(
    contact: ContactOption,
    organization: OrganizationOption,
    template: TemplateOption = None,
    program: ProgramOption = None,
    step: StepOption = None,
    kind: KindOption = None,
    to: AddressOption = None,
) -> None:
    """Send one copy, marked [Test]; suppressions, caps, counts and reports do not know of it."""
    from marketing_pipelines.domains.delivery.own_servers import transport_of_domain
    from marketing_pipelines.domains.delivery.previewing import send_test

    settings, found = _preview(
        contact, organization, template, program, step, kind, to, is_test=True
    )
    message = found.message
    with connected() as (_, engine), engine.connect() as connection:
        over = found.domain and transport_of_domain(
            connection, settings, message.organization_id, found.domain
        )
    if send_test(settings, message, over or None):
        print(f"Sent to {message.recipient}.")
    else:
        folder = settings.outbox_folder / message.channel / f"{message.queued_at:%Y-%m-%d}"
        suffix = "eml" if message.channel == "email" else "txt"
        print(f"Nothing leaves this machine: the copy is {folder}/{message.id}.{suffix}")
    if message.unsubscribe_url is not None:
        print(SIGNATURE)


def _preview(
    contact: str,
    organization: str,
    template: str | None,
    program: str | None,
    step: str | None,
    kind: str | None,
    to: str | None,
    *,
    is_test: bool,
) -> "tuple[Settings, Preview]":
    from marketing_pipelines.domains import load_tables
    from marketing_pipelines.domains.delivery.named_templates.catalog import Catalog
    from marketing_pipelines.domains.delivery.previewing import preview

    if (template is None) == (program is None) or (program is None) != (step is None):
        raise WrongUsageError("Name a --template, or a --program with its --step.")
    load_tables()
    with connected() as (settings, engine), engine.begin() as connection:
        organization_id, contact_id = find_contact(connection, contact, organization)
        title, wanted = _wanted(connection, organization_id, template, program, step, kind)
        names = [wanted.template] if wanted.template else []
        outgoing = Catalog.read(connection, [organization_id], names).outgoing(
            organization_id, wanted
        )
        found = preview(
            connection,
            organization_id,
            contact_id,
            wanted.channel,
            outgoing,
            now=dt.datetime.now(dt.UTC),
            address=to,
            is_test=is_test,
        )
    told = [found.kind, f"category {found.category}", f"priority {outgoing.priority}"]
    if outgoing.valid_for is not None:
        told.append(f"valid for {outgoing.valid_for}")
    print(f"{title}: {', '.join(told)}.")
    if found.problem is not None:
        print(f"The contact would not get it: {found.problem}.")
    return settings, found


def _wanted(
    connection: sa.Connection,
    organization_id: int,
    template: str | None,
    program: str | None,
    step: str | None,
    kind: str | None,
) -> "tuple[str, Wanted]":
    """The message, and a name for it."""
    from marketing_pipelines.domains.delivery.named_templates.catalog import Wanted, find_template
    from marketing_pipelines.domains.lifecycle.step_messages import message_of_step

    if template is not None:
        found = find_template(connection, organization_id, template)
        return f"Template {template}", Wanted(found.channel, template)
    assert program is not None
    assert step is not None
    own = _program(connection, organization_id, program, kind)
    return f"{own}, step {step}", message_of_step(connection, own, step)


def _program(
    connection: sa.Connection, organization_id: int, name: str, kind: str | None
) -> "Program":
    from marketing_pipelines.domains.lifecycle.program_kinds import declared
    from marketing_pipelines.domains.lifecycle.programs import find_program

    if kind is not None and kind not in declared():
        raise WrongUsageError(f"'{kind}' is no kind of program: name {', '.join(declared())}.")
    found = []
    for one in declared().values():
        if kind in (None, one.name):
            try:
                found.append(find_program(connection, organization_id, one, name)[0])
            except BadInputError:
                continue
    exact = [program for program in found if program.external_id == name] or found
    if not exact:
        raise BadInputError(f"There is no program '{name}': give its external id or its number.")
    if exact[1:]:
        kinds = " and ".join(str(program.kind) for program in exact)
        raise BadInputError(f"'{name}' is a {kinds}: name one of them with --kind.")
    return exact[0]


def _print_message(message: "Rendered") -> None:
    if message.channel == "email":
        _print_mail(message)
        return
    print(f"\nTo: {message.recipient}")
    if "title" in message.content:
        print(f"Title: {message.content['title']}")
    print(f"\n{message.content['text']}")


def _print_mail(message: "Rendered") -> None:
    from marketing_pipelines.domains.delivery import mail

    written = mail.write(message)
    read = message_from_bytes(written.data, policy=policy.default)
    print()
    for name, value in read.items():
        if not name.startswith(("Content-", "MIME-")):
            print(f"{name}: {value}")
    for kind in ("plain", "html"):
        part = read.get_body((kind,))
        if part is not None:
            print(f"\n--- {part.get_content_type()} ---\n{part.get_content().strip()}")
