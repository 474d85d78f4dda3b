"""Enrichment: who is asked about, what is overwritten, what it costs, and how it fails."""

import datetime as dt
from functools import partial
from typing import Any

import pytest

from marketing_pipelines.domains.integrations import contact_enrichment as enrichment
from marketing_pipelines.domains.integrations.syncs import Pacing
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.integrations.service import (
    BROKEN,
    FOR_AN_HOUR,
    NO_JSON,
    OTHER_JSON,
    REFUSED,
    TRUNCATED,
    Asked,
    Said,
    Service,
)
from marketing_pipelines_tests.integrations.world import NIGHT, Connected

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
SECOND = dt.timedelta(seconds=1)
KEY = "apollo-key-7f3a9c"
TABLES = ("crm.contacts", "crm.companies")


@pytest.fixture
def world(shared_installation: Installation, outside: Service) -> Connected:
    outside.answer = knows({})
    world = Connected(shared_installation)
    world.connect("enrichment", url=outside.url, api_key=KEY, per_minute=10_000)
    return world


def knows(people: dict[str, Any]) -> Any:
    """A service that knows these people by their address."""

    def answer(asked: Asked) -> Said:
        return Said({"matches": [people.get(one["email"]) for one in asked.body["details"]]})

    return answer


def questions(outside: Service) -> list[list[str]]:
    return [[one["email"] for one in asked.body["details"]] for asked in outside.asked]


def person(title: str | None = None, city: str | None = None, **organization: Any) -> Any:
    return {"title": title, "city": city, "organization": organization or None}


def attributes(world: Connected) -> dict[str, Any]:
    return dict(world.rows("select external_id, attributes from crm.contacts order by id"))


def test_a_match_fills_title_city_and_the_company_of_its_domain(
    world: Connected, outside: Service
) -> None:
    world.contacts({"email": " C1@X.example "}, {})
    outside.answer = knows(
        {
            "c1@x.example": person(
                "Head of  Travel", "Lisbon", name="X Ltd", primary_domain="X.example",
                industry="travel", estimated_num_employees=40,
            )
        }
    )  # fmt: skip
    done = world.run(enrichment.enrich)
    assert (done["ok"], done["failed"], done["rows"]) == (1, 0, 1)
    assert (done["contacts_asked"], done["contacts_matched"]) == (2, 1)
    [asked] = outside.asked
    assert (asked.method, asked.path) == ("POST", "/api/v1/people/bulk_match")
    assert asked.headers["X-Api-Key"] == KEY
    assert asked.body == {"details": [{"email": "c1@x.example"}, {"email": "c2@x.example"}]}
    assert attributes(world) == {"c1": {"title": "Head of Travel", "city": "Lisbon"}, "c2": {}}
    assert world.rows(
        "select contact.external_id, enriched_at, enriched_fields, company.external_id,"
        " company.name, company.domain, company.attributes from crm.contacts as contact"
        " left join crm.companies as company on company.id = company_id order by contact.id"
    ) == [
        ("c1", NIGHT, ["city", "company_id", "title"], "domain:x.example", "X Ltd", "x.example",
         {"industry": "travel", "employees": 40}),
        ("c2", NIGHT, [], None, None, None, None),
    ]  # fmt: skip


def test_only_empty_and_provider_owned_fields_are_overwritten(
    world: Connected, outside: Service
) -> None:
    world.execute(
        "insert into crm.companies (organization_id, external_id, name, domain, attributes)"
        " values (:o, 'own', 'Own', 'X.example', '{\"industry\": \"ours\"}')",
        o=world.organizations["acme"],
    )
    [(own,)] = world.rows("select id from crm.companies")
    world.contacts(
        {"attributes": {"title": "CEO", "city": "  "}, "company_id": own},
        {"attributes": {"title": "old", "city": "Rome"}, "enriched_fields": ["title"]},
    )
    found = person("new", "Oslo", name="X", primary_domain="x.example", industry="travel",
                   estimated_num_employees=9)  # fmt: skip
    outside.answer = knows({"c1@x.example": found, "c2@x.example": found})
    world.run(enrichment.enrich)
    assert attributes(world) == {
        "c1": {"title": "CEO", "city": "Oslo"},
        "c2": {"title": "new", "city": "Rome"},
    }
    assert world.rows("select enriched_fields, company_id from crm.contacts order by id") == [
        (["city"], own),
        (["company_id", "title"], own),
    ]
    assert world.rows("select name, attributes from crm.companies") == [
        ("Own", {"industry": "ours", "employees": 9})
    ]


def test_a_contact_is_asked_about_again_after_exactly_thirty_days(
    world: Connected, outside: Service
) -> None:
    world.contacts(
        {"enriched_at": NIGHT - 30 * DAY},
        {"enriched_at": NIGHT - 30 * DAY + SECOND},
        {"enriched_at": NIGHT - 31 * DAY},
        {},
        {"email": None},
        {"email": "  "},
    )
    world.run(enrichment.enrich)
    assert questions(outside) == [["c4@x.example", "c3@x.example", "c1@x.example"]]


def test_a_setting_changes_the_days(world: Connected, outside: Service) -> None:
    world.execute("update crm.organizations set settings = '{\"enrichment\": {\"again_after_days\":"
                  " 7}}' where external_id = 'acme'")  # fmt: skip
    world.contacts({"enriched_at": NIGHT - 7 * DAY}, {"enriched_at": NIGHT - 7 * DAY + SECOND})
    world.run(enrichment.enrich)
    assert questions(outside) == [["c1@x.example"]]


def test_a_night_costs_no_more_than_its_limit_however_often_it_is_tried(
    world: Connected, outside: Service
) -> None:
    world.execute("update crm.organizations set settings = '{\"enrichment\": {\"per_run\": 23}}'"
                  " where external_id = 'acme'")  # fmt: skip
    world.contacts(*[{} for _ in range(40)])
    # The second call never succeeds: the first ten stay, and count against the limit.
    outside.misbehave(Said({"matches": [None] * 10}), *[BROKEN] * 4)
    failed = world.run(enrichment.enrich)
    assert (failed["ok"], failed["failed"], failed["succeeded"]) == (0, 1, False)
    outside.asked.clear()
    done = world.run(enrichment.enrich)
    assert [len(asked) for asked in questions(outside)] == [10, 3]
    assert (done["contacts_asked"], done["failed"]) == (13, 0)
    [(backlog, last)] = world.rows("select backlog, last_tick from integrations.syncs")
    assert (backlog, last) == (17, NIGHT)
    before = world.dump(TABLES)
    outside.asked.clear()
    world.run(enrichment.enrich)
    assert outside.asked == []
    assert world.dump(TABLES) == before


def test_contacts_with_one_address_are_one_question(world: Connected, outside: Service) -> None:
    world.contacts({"email": "a@x.example"}, {"email": "A@x.example"})
    outside.answer = knows({"a@x.example": person("Pilot")})
    world.run(enrichment.enrich)
    assert questions(outside) == [["a@x.example"]]
    assert attributes(world) == {"c1": {"title": "Pilot"}, "c2": {"title": "Pilot"}}


def test_a_contact_whose_address_changes_during_the_call_is_asked_about_again(
    world: Connected, outside: Service
) -> None:
    world.contacts({})

    def answer(asked: Asked) -> Said:
        world.execute("update crm.contacts set email = 'moved@x.example'")
        return Said({"matches": [person("Pilot")]})

    outside.answer = answer
    world.run(enrichment.enrich)
    assert world.rows("select attributes, enriched_at from crm.contacts") == [({}, None)]


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (person("x" * 600), {"title": "x" * 500}),
        ({"title": 7, "city": ["a"], "organization": "none"}, {}),
        ({"title": "a\x00b", "organization": {"primary_domain": ""}}, {"title": "ab"}),
        ("a text", {}),
    ],
    ids=["long", "other types", "null byte", "no object"],
)
def test_odd_matches_do_no_harm(
    world: Connected, outside: Service, match: Any, expected: Any
) -> None:
    world.contacts({})
    outside.answer = knows({"c1@x.example": match})
    assert world.run(enrichment.enrich)["failed"] == 0
    assert attributes(world) == {"c1": expected}


@pytest.mark.parametrize(
    ("mood", "said"),
    [
        (BROKEN, "answers 500 (out of order)"),
        (TRUNCATED, "cannot be reached"),
        (NO_JSON, "does not answer in JSON"),
        (OTHER_JSON, "JSON that is no object"),
        (Said({"matches": []}), "does not answer with one match for each of 1 addresses"),
        (Said(status=302, headers={"Location": "/again"}), "set the url of the connection anew"),
        (FOR_AN_HOUR, "answers 429"),
    ],
    ids=["500", "truncated", "html", "list", "too few", "redirect", "429"],
)
def test_a_service_that_misbehaves_fails_the_item_of_its_organization_alone(
    world: Connected, outside: Service, mood: Said, said: str
) -> None:
    def answer(asked: Asked) -> Said:
        return mood if asked.headers["X-Api-Key"] == KEY else Said({"matches": [person("Pilot")]})

    outside.answer = answer
    world.connect("enrichment", "umbra", url=outside.url, api_key="another-key-8", per_minute=9_999)
    world.contacts({})
    world.contacts({}, organization="umbra")
    done = world.run(enrichment.enrich)
    assert (done["ok"], done["failed"], done["succeeded"]) == (1, 1, True)
    [(organization, state, error), healthy] = world.state("enrichment")
    assert (organization, state) == ("acme", "failing")
    assert said in error
    assert healthy == ("umbra", "ok", None)
    assert attributes(world) == {"c1": {}, "c2": {"title": "Pilot"}}
    [(item, found)] = world.rows("select item, error from ops.item_failures")
    assert item == "enrichment of acme"
    assert said in found


def test_a_pause_of_an_hour_runs_from_the_answer_and_no_call_is_made_before_its_end(
    world: Connected, outside: Service
) -> None:
    def run(now: dt.datetime) -> dict[str, Any]:
        # The tick is late.
        return world.run(partial(enrichment.enrich, pacing=Pacing(lambda: now)), now - HOUR / 2)

    standing = "select next_at, error is null from integrations.syncs"
    failures = "select item, consecutive from ops.item_failures"
    world.contacts({})
    outside.misbehave(FOR_AN_HOUR)
    assert run(NIGHT)["failed"] == 1
    assert world.rows(standing) == [(NIGHT + HOUR, False)]
    outside.asked.clear()
    early = run(NIGHT + HOUR - SECOND)
    assert (early["failed"], early["waiting"], early["succeeded"]) == (0, 1, True)
    assert early["note"].startswith("1 connections enrichment wait for the end of the pause")
    assert outside.asked == []
    assert world.rows(standing) == [(NIGHT + HOUR, False)]
    assert world.rows(failures) == [("enrichment of acme", 1)]
    assert run(NIGHT + HOUR)["ok"] == 1
    assert world.rows(standing) == [(None, True)]


def test_a_refused_key_waits_for_a_person_and_is_no_failure_from_then_on(
    world: Connected, outside: Service
) -> None:
    world.contacts({})
    outside.misbehave(REFUSED)
    first = world.run(enrichment.enrich)
    assert (first["failed"], first["succeeded"]) == (1, False)
    [(_, state, error)] = world.state("enrichment")
    assert (state, error.endswith("give other keys with `connection set`.")) == ("reconnect", True)
    outside.asked.clear()
    second = world.run(enrichment.enrich, NIGHT + DAY)
    assert (second["ok"], second["failed"], second["waiting"], second["succeeded"]) == (
        0, 0, 1, True
    )  # fmt: skip
    assert second["note"].startswith("1 connections enrichment wait for other keys")
    assert outside.asked == []
    world.connect("enrichment", api_key="a-better-key")
    assert world.run(enrichment.enrich, NIGHT + DAY)["ok"] == 1


def test_without_a_connection_the_job_says_so_and_succeeds(
    shared_installation: Installation,
) -> None:
    world = Connected(shared_installation)
    done = world.run(enrichment.enrich)
    assert (done["succeeded"], done["ok"], done["failed"]) == (True, 0, 0)
    assert done["note"] == (
        "No organization has a connection enrichment, so there is nothing to do: "
        "`marketing-pipelines connection set enrichment` makes one."
    )


def test_broken_settings_of_an_organization_stop_it_alone(
    world: Connected, outside: Service
) -> None:
    world.connect("enrichment", "umbra", url=outside.url, api_key="another-key-8", per_minute=9_999)
    world.execute("update crm.organizations set settings = '{\"enrichment\": {\"per_run\": \"x\"}}'"
                  " where external_id = 'acme'")  # fmt: skip
    world.contacts({}, organization="umbra")
    done = world.run(enrichment.enrich)
    assert (done["ok"], done["failed"]) == (1, 1)
    assert "enrichment.per_run" in world.rows("select error from ops.item_failures")[0][0]
