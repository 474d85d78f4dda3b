"""Notifications of users: each once, to the owner or the admins, in one mail per tick."""

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.crm.notifications.writing import (
    TO_ADMINS,
    WANTED,
    WrittenNotifications,
    write_notifications,
)
from marketing_pipelines.domains.delivery import notifications
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.delivery.world import World

TICK = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
JOB = "sales/stale_deals"


@pytest.fixture
def world(pooled_engine: sa.Engine) -> World:
    """An organization."""
    return World(pooled_engine)


def user(world: World, name: str, role: str = "rep", **columns: Any) -> int:
    given = {"email": f"{name}@acme.example", "notify_by_mail": True} | columns
    organization = given.pop("organization", world.organization)
    names = ", ".join(given)
    number: int = world.value(
        f"insert into crm.users (organization_id, external_id, role, {names}) values"
        f" (:organization, :name, :role, {', '.join(f':{column}' for column in given)})"
        " returning id",
        organization=organization,
        name=name,
        role=role,
        **given,
    )
    return number


def notify(
    world: World, *wanted: tuple[int | None, str], tick: dt.datetime = TICK, kind: str = "stale"
) -> WrittenNotifications:
    """Notifies users of subjects."""
    rows = sa.text(
        "select user_id, cast(null as bigint) as contact_id, :kind as kind,"
        " 'About ' || subject as title, 'Text.' as text, null as ref, subject, 'p1' as period"
        " from unnest(cast(:users as bigint[]), cast(:subjects as text[]))"
        " as wanted (user_id, subject)"
    ).bindparams(kind=kind, users=[one[0] for one in wanted], subjects=[one[1] for one in wanted])
    with world.engine.begin() as connection:
        return notifications.notify(
            connection,
            rows.columns(*WANTED),
            organization_id=world.organization,
            job=JOB,
            tick=tick,
        )


def written(world: World) -> list[tuple[Any, ...]]:
    return world.rows(
        "select external_id, title, text, mailed_at is not null from crm.notifications"
        " join crm.users on users.id = user_id order by notifications.id"
    )


def mails(world: World) -> list[tuple[Any, ...]]:
    return world.rows(
        "select external_id, kind, variables ->> 'title', variables from delivery.messages"
        " join crm.users on users.id = user_id order by messages.id"
    )


def test_each_notification_is_written_and_mailed_once(world: World) -> None:
    ann = user(world, "ann")
    assert notify(world, (ann, "deal 1"), (ann, "deal 2")).written == 2
    assert notify(world, (ann, "deal 1"), (ann, "deal 2")).written == 0
    assert written(world) == [
        ("ann", "About deal 1", "Text.", True),
        ("ann", "About deal 2", "Text.", True),
    ]
    [mail] = mails(world)
    assert mail[:3] == ("ann", "transactional", "2 notifications")
    assert [item["title"] for item in mail[3]["items"]] == ["About deal 1", "About deal 2"]


def test_a_later_tick_mails_its_new_notifications_alone(world: World) -> None:
    ann = user(world, "ann")
    notify(world, (ann, "deal 1"))
    notify(world, (ann, "deal 1"), (ann, "deal 2"), tick=TICK + dt.timedelta(days=1))
    assert [mail[2] for mail in mails(world)] == ["About deal 1", "About deal 2"]


def test_without_an_owner_the_admins_get_it_and_the_text_says_so(world: World) -> None:
    user(world, "ann")
    other = world.value("insert into crm.organizations (external_id) values ('o') returning id")
    stranger = user(world, "mallory", organization=other)
    gone = user(world, "dora", active=False)
    user(world, "finn", "admin", active=False)
    for admin in ("bob", "cleo"):
        user(world, admin, "admin")
    user(world, "eve", "admin", organization=other)
    assert notify(world, (None, "deal 1"), (stranger, "deal 2"), (gone, "deal 3")).written == 6
    assert written(world) == [
        (admin, f"About deal {deal}", f"Text. {TO_ADMINS}", True)
        for deal in (1, 2, 3)
        for admin in ("bob", "cleo")
    ]


def test_without_owner_and_admin_it_is_counted(world: World) -> None:
    user(world, "ann")
    assert notify(world, (None, "deal 1")) == WrittenNotifications(0, 1)


def test_an_admin_who_is_the_owner_gets_each_kind(world: World) -> None:
    bob = user(world, "bob", "admin")
    assert notify(world, (bob, "deal 1")).written == 1
    assert notify(world, (bob, "deal 1"), kind="at_risk").written == 1


@pytest.mark.parametrize(
    ("env", "choice", "is_mailed"),
    [
        ("development", None, False),
        ("development", True, True),
        ("production", None, True),
        ("production", False, False),
    ],
)
def test_mails_follow_the_choice_of_the_user_and_the_environment(
    world: World, monkeypatch: pytest.MonkeyPatch, env: str, choice: bool | None, is_mailed: bool
) -> None:
    monkeypatch.setenv("MARKETING_ENV", env)
    get_settings.cache_clear()
    ann = user(world, "ann", notify_by_mail=choice)
    notify(world, (ann, "deal 1"))
    assert [row[3] for row in written(world)] == [is_mailed]
    assert len(mails(world)) == is_mailed


def test_a_mail_names_at_most_fifty(world: World) -> None:
    ann = user(world, "ann")
    notify(world, *((ann, f"deal {n:02}") for n in range(51)))
    [(_, _, title, variables)] = mails(world)
    assert (title, variables["text"]) == ("51 notifications", "The first 50 of 51:")
    assert len(variables["items"]) == 50
    assert [row[3] for row in written(world)] == [True] * 51


def test_a_notification_of_a_grant_is_mailed_once_by_the_sensor(world: World) -> None:
    ann, quiet = user(world, "ann"), user(world, "quiet", notify_by_mail=False)
    wanted = sa.text(
        "select number as user_id, cast(null as bigint) as contact_id, 'grant_reconnect' as kind,"
        " 'Access ended' as title, 'Text.' as text, null as ref, 'connection 1' as subject,"
        " 'p1' as period from unnest(cast(:users as bigint[])) as given (number)"
    ).bindparams(users=[ann, quiet])
    with world.engine.begin() as connection:
        write_notifications(
            connection, wanted.columns(*WANTED), organization_id=world.organization,
            job="integrations/credentials", tick=TICK,
        )  # fmt: skip
    for hours in (25, 1, 2):
        with world.engine.begin() as connection:
            notifications.mail_of_grants(connection, TICK + dt.timedelta(hours=hours))
        assert len(mails(world)) == (0 if hours == 25 else 1)
    assert [mail[:3] for mail in mails(world)] == [("ann", "transactional", "Access ended")]
