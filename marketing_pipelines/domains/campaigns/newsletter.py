"""The weekly newsletter: each issue is a campaign that the job makes, activates and fills.

The name of the campaign holds the ISO week, a contact enters a campaign once, and a step writes one
message for each contact and address. So a subscriber gets one message a week, however often the job
runs: a later run in the week adds the subscribers that are not in the issue yet.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.domains.campaigns.tables import CAMPAIGN, campaigns
from marketing_pipelines.domains.crm.organization_settings import Newsletter, settings_of
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.domains.delivery.consent.categories import Category, find_category
from marketing_pipelines.domains.delivery.named_templates.catalog import (
    UnknownNameError,
    find_template,
)
from marketing_pipelines.domains.delivery.named_templates.template import problem_of_template
from marketing_pipelines.domains.lifecycle.switching import switch
from marketing_pipelines.domains.lifecycle.tables import steps
from marketing_pipelines.failures import BadInputError, RetryableError

STEP = "newsletter"
NO_TEMPLATE = "no newsletter.template is set"
_NOT_STARTED = ("draft", "scheduled", "imported")


class SegmentNotReadyError(RetryableError):
    """The segment of the newsletter was never evaluated."""


@dataclass(frozen=True)
class Issue:
    """The issue of an organization in a week.

    Attributes:
        campaign: External id of its campaign; None: the organization has no newsletter.
        added: Contacts that this run added.
        status: Status of the campaign, or why there is none.
    """

    organization: str
    campaign: str | None
    added: int
    status: str


def issue_name(day: dt.date) -> str:
    """Returns the external id of the issue of a day's ISO week, such as `newsletter-2026-W09`."""
    year, week, _ = day.isocalendar()
    return f"newsletter-{year}-W{week:02}"


def all_organizations(connection: sa.Connection) -> Sequence[Any]:
    """The number and external id of each organization."""
    return connection.execute(
        sa.select(organizations.c.id, organizations.c.external_id).order_by(organizations.c.id)
    ).all()


def fill_issue(
    connection: sa.Connection, organization: Any, day: dt.date, tick: dt.datetime
) -> Issue:
    """Makes and activates the issue of an organization, and adds the subscribers not in it.

    An issue that was cancelled stays so, and nobody is added to it.

    Args:
        connection: In a transaction of read committed.
        organization: A row of `all_organizations`.
        day: Day of the tick in the reporting zone.

    Raises:
        BadInputError: the template, the category or the segment does not exist, or the template
            cannot be used.
        SegmentNotReadyError: the segment was never evaluated.
    """
    settings = settings_of(connection, organization.id).newsletter
    if settings.template is None:
        return Issue(organization.external_id, None, 0, NO_TEMPLATE)
    category = find_category(connection, organization.id, settings.category)
    segment_id = _segment(connection, organization.id, settings.segment)
    name = issue_name(day)
    campaign = _take_campaign(connection, organization.id, name, tick)
    if campaign.status in _NOT_STARTED:
        is_own = _write_step(connection, organization.id, campaign.id, settings, category)
        switch(connection, organization.id, CAMPAIGN, name, "activate", now=tick)
        if is_own:
            _refuse_unusable(connection, organization.id, settings.template)
    elif campaign.status == "cancelled":
        return Issue(organization.external_id, name, 0, campaign.status)
    added = connection.execute(
        _sql("enrol_subscribers"),
        {
            "organization_id": organization.id,
            "campaign_id": campaign.id,
            "category_id": category.id,
            "segment_id": segment_id,
            "tick": tick,
        },
    ).rowcount
    status = connection.execute(
        sa.select(campaigns.c.status).where(campaigns.c.id == campaign.id)
    ).scalar_one()
    return Issue(organization.external_id, name, added, status)


def check_template(connection: sa.Connection, organization_id: int) -> None:
    """Refuses the setting `newsletter.template` if no issue can be made of it.

    Raises:
        BadInputError: there is no such template, it is of another channel, or it cannot be used.
    """
    name = settings_of(connection, organization_id).newsletter.template
    if name is None:
        return
    try:
        channel = find_template(connection, organization_id, name).channel
    except UnknownNameError as error:
        raise BadInputError(f"newsletter.template: {error.reason}.") from None
    if channel != "email":
        raise BadInputError(
            f"newsletter.template: '{name}' is a template of the channel {channel}, not email."
        )
    _refuse_unusable(connection, organization_id, name)


def _take_campaign(
    connection: sa.Connection, organization_id: int, name: str, tick: dt.datetime
) -> Any:
    """The campaign of the issue, made if it is not there; it is locked: a switch by hand waits."""
    connection.execute(
        pg.insert(campaigns)
        .values(
            organization_id=organization_id,
            external_id=name,
            name=f"Newsletter {name.removeprefix('newsletter-')}",
            started_at=tick,
        )
        .on_conflict_do_nothing()
    )
    return connection.execute(
        sa.select(campaigns.c.id, campaigns.c.status)
        .where(campaigns.c.organization_id == organization_id, campaigns.c.external_id == name)
        .with_for_update(key_share=True)
    ).one()


def _write_step(
    connection: sa.Connection,
    organization_id: int,
    campaign_id: int,
    settings: Newsletter,
    category: Category,
) -> bool:
    """Writes the one step of the issue; an issue that somebody prepared keeps its own steps.

    Returns:
        False: it has its own.
    """
    config = {
        "template": settings.template,
        "category": category.external_id,
        "kind": "marketing",
        "bulk": True,
    }
    written = connection.execute(
        sa.insert(steps).from_select(
            ["organization_id", "program_kind", "program_id", "external_id", "position", "type",
             "config"],
            sa.select(
                sa.literal(organization_id),
                sa.literal("campaign"),
                sa.literal(campaign_id),
                sa.literal(STEP),
                sa.literal(10),
                sa.literal("send_email"),
                sa.literal(config, pg.JSONB),
            ).where(
                ~sa.exists().where(
                    steps.c.program_kind == "campaign", steps.c.program_id == campaign_id
                )
            ),
        ).returning(steps.c.id)
    )  # fmt: skip
    return written.first() is not None


def _refuse_unusable(connection: sa.Connection, organization_id: int, name: str) -> None:
    """Refuses a template of which each mail would fail.

    It says nothing without variables, which an issue has not, or this release cannot read it.
    """
    template = find_template(connection, organization_id, name)
    if template.content.get("needs"):
        raise BadInputError(
            f"newsletter.template: the built-in template '{name}' says nothing by itself: load one "
            "with this week's news by `marketing-pipelines load templates FILE`."
        )
    problem = problem_of_template(template)
    if problem is not None:
        raise BadInputError(f"newsletter.template: {problem}.")


def _segment(connection: sa.Connection, organization_id: int, name: str | None) -> int | None:
    """The number of the segment whose members get the issue; None: there is none."""
    if name is None:
        return None
    segment = connection.execute(
        _sql("newsletter_segment"), {"organization_id": organization_id, "name": name}
    ).first()
    if segment is None:
        raise BadInputError(
            f"newsletter.segment: there is no segment '{name}'; set another with `settings set`."
        )
    if segment.first_evaluated_at is None:
        raise SegmentNotReadyError(
            f"Segment '{name}' of newsletter.segment was never evaluated: look at its rule, or "
            "wait for segments/memberships."
        )
    number: int = segment.id
    return number


@cache
def _sql(name: str) -> sa.TextClause:
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return sa.text(text).bindparams(
        *([sa.bindparam("segment_id", type_=sa.BigInteger)] if ":segment_id" in text else [])
    )
