"""New contacts: announced once though named often, owned in turn, and welcomed by mail."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.crm.events import ContactCreated
from marketing_pipelines.domains.crm.new_contacts.assignment import assign_owners
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.queueing.tables import bus_events
from marketing_pipelines_tests.api.applications import EVENTS, SUBSCRIPTIONS, Application
from marketing_pipelines_tests.forking import Forked
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.queueing.consuming import consume
from marketing_pipelines_tests.queueing.installed import drain, workers
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until


@pytest.fixture
def app(shared_installation: Installation) -> Application:
    shared_installation.execute("delete from procrastinate_jobs")
    return Application(shared_installation)


def load(app: Application, folder: Path, kind: str, *rows: dict[str, Any]) -> None:
    path = folder / f"{kind}.jsonl"
    path.write_text("\n".join(json.dumps({"organization_id": app.name} | row) for row in rows))
    assert not app.installation.load(kind, path).rejected


def announced(app: Application) -> list[tuple[str, list[str]]]:
    """Each event `contact.created`: its source and the external ids of its contacts."""
    with app.installation.engine.connect() as connection:
        events = [
            ContactCreated.read(row)
            for row in connection.execute(
                sa.select(bus_events)
                .where(
                    bus_events.c.organization_id == app.organization,
                    bus_events.c.type == "contact.created",
                )
                .order_by(bus_events.c.id)
            )
        ]
    names = dict(app.rows("select id, external_id from crm.contacts where organization_id = :own"))
    return [(event.source, [names[number] for number in event.contact_ids]) for event in events]


def owners(app: Application) -> dict[str, int]:
    return dict(
        app.rows(
            "select owner.external_id, count(*) from crm.contacts as contact"
            " join crm.users as owner on owner.id = owner_id"
            " where contact.organization_id = :own group by 1"
        )
    )


def users(app: Application, *names: str, **columns: str) -> None:
    for name in names:
        app.value(
            "insert into crm.users (organization_id, external_id, role, active)"
            " values (:own, :name, :role, :active) returning id",
            own=app.organization,
            name=name,
            **{"role": "rep", "active": "true"} | columns,
        )


def set_settings(app: Application, settings: dict[str, Any]) -> None:
    app.installation.execute(
        "update crm.organizations set settings = :settings where id = :own",
        settings=json.dumps(settings),
        own=app.organization,
    )


def test_a_load_announces_its_new_contacts_in_one_event(app: Application, tmp_path: Path) -> None:
    load(app, tmp_path, "contacts", {"external_id": "ann"}, {"external_id": "bob"})
    load(app, tmp_path, "contacts", {"external_id": "ann", "first_name": "Ann"})
    load(app, tmp_path, "contacts", {"external_id": "cy"})
    assert announced(app) == [("import", ["ann", "bob"]), ("import", ["cy"])]


def test_an_event_of_a_load_names_at_most_ten_thousand_contacts(app: Application) -> None:
    app.installation.execute(
        "insert into crm.contacts (organization_id, external_id)"
        " select :own, number from generate_series(1, 10002) as number",
        own=app.organization,
    )
    assert [len(names) for _, names in announced(app)] == [10_000, 2]


def test_stubs_are_announced_when_a_row_has_an_address_or_a_name(
    app: Application, tmp_path: Path
) -> None:
    row = {"contact_id": "ann", "event_type": "page_view", "occurred_at": "2026-03-01T09:00:00Z"}
    load(app, tmp_path, "events", row | {"event_id": "1"})
    sent = {"organization_id": app.name, "contact_id": "bob", "event_type": "page_view"}
    sent |= {"event_id": "2", "occurred_at": "2026-03-01T09:00:00Z"}
    assert app.post(EVENTS, {"events": [sent]}).status_code == 200
    load(app, tmp_path, "contacts", {"external_id": "ann", "city": "Bern", "email": " "})
    assert announced(app) == []
    load(
        app,
        tmp_path,
        "contacts",
        {"external_id": "ann", "email": "ann@example.org"},
        {"external_id": "bob", "last_name": "Byrd"},
    )
    load(app, tmp_path, "contacts", {"external_id": "ann", "email": "ann@example.net"})
    assert announced(app) == [("import", ["ann", "bob"])]


def test_contacts_of_messages_are_announced_by_a_subscription_or_a_file(
    app: Application, tmp_path: Path
) -> None:
    assert app.ask("ann@example.org", "bob@example.org", kind="transactional").status_code == 202
    assert announced(app) == []
    load(app, tmp_path, "contacts", {"external_id": "address:bob@example.org"})
    order = {"organization": app.name, "category": "newsletter", "address": "ann@example.org"}
    app.post(SUBSCRIPTIONS, order | {"state": "unsubscribed"})
    assert announced(app) == [("import", ["address:bob@example.org"])]
    for _ in range(2):
        assert app.post(SUBSCRIPTIONS, order | {"state": "subscribed"}).status_code == 200
    load(app, tmp_path, "contacts", {"external_id": "address:ann@example.org"})
    assert announced(app)[1:] == [("api", ["address:ann@example.org"])]


def test_an_address_that_subscribes_twice_at_once_is_announced_once(app: Application) -> None:
    order = {"organization": app.name, "category": "newsletter", "address": "new@example.org"}
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(
            lambda _: app.post(SUBSCRIPTIONS, order | {"state": "subscribed"}), range(2)
        )
    assert [answer.status_code for answer in answers] == [200, 200]
    assert announced(app) == [("api", ["address:new@example.org"])]


def test_contacts_get_owners_in_turn_and_inactive_users_none(
    app: Application, tmp_path: Path
) -> None:
    users(app, "una", "val", "wim")
    users(app, "xen", active="false")
    users(app, "max", role="manager")
    load(app, tmp_path, "users", {"external_id": "own"})
    app.installation.execute("update crm.users set role = 'admin' where external_id = 'own'")
    load(app, tmp_path, "contacts", {"external_id": "kim", "owner_id": "own"})
    load(app, tmp_path, "contacts", *({"external_id": f"c{number}"} for number in range(7)))
    for number in range(2):
        app.contact(f"d{number}")
    assert consume(app.installation.engine, "crm-events").count("crm/assign_owners") == 4
    assert owners(app) == {"own": 1, "una": 3, "val": 3, "wim": 3}


def test_contacts_created_at_once_are_shared_equally(app: Application) -> None:
    users(app, *(f"u{number}" for number in range(5)))

    def create(process: int) -> None:
        engine = app.installation.engine
        for number in range(5):
            app.contact(f"one {process} {number}")
        app.installation.execute(
            "insert into crm.contacts (organization_id, external_id)"
            " select :own, :name || number from generate_series(1, 20) as number",
            own=app.organization,
            name=f"load {process} ",
        )
        consume(engine, "crm-events")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(create, range(4)))
    consume(app.installation.engine, "crm-events")
    assert owners(app) == {f"u{number}": 20 for number in range(5)}


@pytest.mark.soak
@soak_only
def test_a_thousand_contacts_of_four_processes_are_shared_equally(
    app: Application, tmp_path: Path
) -> None:
    """Each process loads 230 contacts at once and 20 in files of one row; four workers assign."""
    users(app, *(f"u{number}" for number in range(5)))
    users(app, "away", active="false")

    def file(name: str, *numbers: int) -> Path:
        path = tmp_path / f"{name}.csv"
        rows = [f"{app.name},{name}-{number}" for number in numbers]
        path.write_text("\n".join(["organization_id,external_id", *rows]))
        return path

    def command(process: int) -> Forked:
        files = [file(f"load{process}", *range(230))]
        files += [file(f"one{process}-{number}", number) for number in range(20)]
        return Forked("marketing_pipelines_tests.crm.loads", *map(str, files), env=os.environ | {})

    with workers(4, "--queue", "crm-events"):
        processes = [command(number) for number in range(4)]
        assert [process.wait(300) for process in processes] == [0, 0, 0, 0]
        until(
            lambda: sum(owners(app).values()) == 1_000, seconds=300, what="an owner of each contact"
        )
    assert owners(app) == {f"u{number}": 200 for number in range(5)}


def test_the_setting_chooses_the_users_and_their_order(app: Application) -> None:
    users(app, "una", "val", "wim")
    set_settings(app, {"assignment": {"users": ["wim", "una"]}})
    first, second, third = (app.contact(name) for name in ("ann", "bob", "cy"))
    with app.installation.engine.begin() as connection:
        assert assign_owners(connection, app.organization, [first, second]) == 2
        assert assign_owners(connection, app.organization, [second, third]) == 1
    assert app.rows(
        "select contact.external_id, owner.external_id from crm.contacts as contact"
        " join crm.users as owner on owner.id = owner_id"
        " where contact.organization_id = :own order by 1"
    ) == [("ann", "wim"), ("bob", "una"), ("cy", "wim")]
    set_settings(app, {"assignment": {"users": ["wim", "nobody"]}})
    with (
        app.installation.engine.begin() as connection,
        pytest.raises(BadInputError, match=r"assignment.users names 'nobody'"),
    ):
        assign_owners(connection, app.organization, [app.contact("dot")])


def messages(app: Application) -> list[tuple[Any, ...]]:
    return app.rows(
        "select contact.external_id, message.kind, message.state"
        " from delivery.messages as message join crm.contacts as contact on contact.id = contact_id"
        " where message.organization_id = :own order by 1"
    )


def test_new_contacts_are_welcomed_once_and_imported_ones_not(
    app: Application, tmp_path: Path
) -> None:
    set_settings(app, {"welcome": {"template": "welcome"}})
    load(app, tmp_path, "contacts", {"external_id": "ann", "email": "ann@example.org"})
    order = {"organization": app.name, "category": "newsletter", "address": "bob@example.org"}
    app.post(SUBSCRIPTIONS, order | {"state": "subscribed"})
    app.installation.execute(
        "insert into crm.contacts (organization_id, external_id, email, source)"
        " values (:own, 'cy', 'cy@example.org', 'form'), (:own, 'dot', null, 'form')",
        own=app.organization,
    )
    consume(app.installation.engine, "crm-events")
    expected = [
        ("address:bob@example.org", "transactional", "queued"),
        ("cy", "transactional", "queued"),
        ("dot", "transactional", "suppressed"),
    ]
    assert messages(app) == expected
    app.installation.execute(
        "select ops.enqueue_bus_events(array_agg(id), array_agg(type), array_agg(contact_id))"
        " from ops.bus_events where organization_id = :own",
        own=app.organization,
    )
    assert "campaigns/welcome_contacts" in consume(app.installation.engine, "crm-events")
    assert messages(app) == expected


def test_a_welcome_template_that_is_unknown_is_a_dead_letter_that_names_the_setting(
    app: Application,
) -> None:
    set_settings(app, {"welcome": {"template": "welcom", "sources": ["import"]}})
    app.contact("ann", email="ann@example.org")
    consume(app.installation.engine, "crm-events")
    [(error,)] = app.installation.rows(
        "select error from ops.dead_letters where task = 'campaigns/welcome_contacts'"
    )
    assert error.startswith("welcome.template: there is no template 'welcom'")
    assert messages(app) == []


@pytest.mark.soak
@soak_only
def test_a_hundred_thousand_loaded_contacts_have_owners_and_scores_within_two_minutes(
    app: Application, tmp_path: Path
) -> None:
    set_settings(app, {"welcome": {"template": "welcome"}})
    users(app, *(f"u{number}" for number in range(5)))
    path = tmp_path / "contacts.csv"
    rows = (f"{app.name},c{number},c{number}@example.org" for number in range(100_000))
    path.write_text("\n".join(["organization_id,external_id,email", *rows]))
    assert not app.installation.load("contacts", path).rejected
    started = time.monotonic()
    drain("--queue", "crm-events")
    assert time.monotonic() - started < 120
    assert owners(app) == {f"u{number}": 20_000 for number in range(5)}
    [(scored,)] = app.rows(
        "select count(*) from crm.contacts where organization_id = :own and lead_score is not null"
    )
    assert scored == 100_000
    assert messages(app) == []
    print(f"{time.monotonic() - started:.0f} s for 100,000 contacts")
