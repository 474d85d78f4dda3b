"""`settings {show,set}`: the settings of one organization."""

from typing import Annotated

import typer

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import OrganizationOption, connected
from marketing_pipelines.domains.crm import organization_settings
from marketing_pipelines.domains.crm.names import organization_number
from marketing_pipelines.domains.leads.stages.rules import require_rules
from marketing_pipelines.failures import WrongUsageError

app = typer.Typer(no_args_is_help=True)
NO_EFFECT = "no effect in this release"


@app.command()
def show(organization: OrganizationOption) -> None:
    """Print every setting with its value, default and meaning."""
    with connected() as (_, engine), engine.connect() as connection:
        found = organization_settings.settings_of(
            connection, organization_number(connection, organization)
        )
    defaults = organization_settings.flat(organization_settings.OrganizationSettings())
    meaning = organization_settings.described()
    rows = [
        [
            key,
            value,
            "default" if value == defaults[key] else "set",
            meaning[key] if organization_settings.is_used(key) else f"{meaning[key]}; {NO_EFFECT}",
        ]
        for key, value in organization_settings.flat(found).items()
    ]
    print_table(["setting", "value", "from", "meaning"], rows)


@app.command("set")
def set_(
    organization: OrganizationOption,
    values: Annotated[list[str], typer.Argument(metavar="KEY VALUE…", show_default=False)],
) -> None:
    """Set one or several at once, e.g. `intent.decay_rate 3` or `quiet_hours 22:00-07:00`.

    `null` restores the default.
    """
    keys, texts = values[::2], values[1::2]
    if len(keys) != len(texts):
        raise WrongUsageError(f"{keys[-1]} has no value: write KEY VALUE, for each setting.")
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise WrongUsageError(f"{twice} stands there twice: give it one value.")
    # Commands that only show settings need no programs.
    from marketing_pipelines.domains.campaigns.newsletter import check_template
    from marketing_pipelines.domains.leads.names import notes_on_settings

    with connected() as (_, engine), engine.begin() as connection:
        number = organization_number(connection, organization)
        given = dict(zip(keys, texts, strict=True))
        organization_settings.set_values(connection, number, given, check=require_rules)
        if "newsletter.template" in keys:
            check_template(connection, number)
        notes = list(notes_on_settings(connection, number, keys))
    verb = "is" if len(keys) == 1 else "are"
    print(f"{', '.join(keys)} of organization {organization} {verb} set.")
    for sentence in notes:
        print(f"note: {sentence}")
    unused = [key for key in keys if not organization_settings.is_used(key)]
    if unused:
        verb = "has" if len(unused) == 1 else "have"
        print(f"{', '.join(unused)} {verb} no effect in this release.")
