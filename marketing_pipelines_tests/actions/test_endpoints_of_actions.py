"""Actions that are led to endpoints of webhooks: once for each due time and route."""

from collections.abc import Iterator

import pytest

from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.actions.acting import NOW, SECOND, Acting
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.queueing.consuming import consume
from marketing_pipelines_tests.webhooks.world import ALLOWED, Receiver, receiving

DELIVERED = "select endpoint_id, type, state from webhooks.deliveries order by id"
RUN_STATES = "select name, state, error from actions.runs order by id"


@pytest.fixture
def acting(emptied: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Acting]:
    monkeypatch.setenv("MARKETING_WEBHOOK_ALLOW", ALLOWED)
    get_settings.cache_clear()
    yield Acting(emptied)
    get_settings.cache_clear()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def endpoint(acting: Acting, url: str, patterns: tuple[str, ...] = ()) -> str:
    """Adds an endpoint; returns its number as routes name it."""
    from marketing_pipelines.domains.webhooks import endpoints

    with acting.installation.engine.begin() as connection:
        number, _ = endpoints.add(
            connection, get_settings(), acting.organization, url, patterns, NOW
        )
    return str(number)


def test_one_action_to_three_endpoints_is_three_deliveries(
    acting: Acting, receiver: Receiver
) -> None:
    for place in range(3):
        number = endpoint(acting, receiver.url, ("deal.won",) if place else ())
        acting.route("billing:*", "endpoint", number, f"route {place}")
    action, _ = acting.schedule("billing:renew", run_at=NOW, payload={"plan": "gold"})
    for at in (NOW, NOW + SECOND):
        acting.run(at)
    consume(acting.installation.engine, "webhooks", clock=lambda: NOW + SECOND)
    assert [row[1:] for row in acting.rows(DELIVERED)] == [("billing:renew", "delivered")] * 3
    assert len(set(receiver.event_ids)) == 3
    assert [received.json for received in receiver.requests] == [
        {
            "type": "billing:renew",
            "timestamp": "2026-03-20T12:00:00Z",
            "data": {
                "organization": "acme",
                "action": action.id,
                "due_at": "2026-03-20T12:00:00+00:00",
                "payload": {"plan": "gold"},
            },
        }
    ] * 3


def test_two_routes_to_one_endpoint_and_two_due_times_are_four_deliveries(acting: Acting) -> None:
    number = endpoint(acting, "https://hooks.example.org/in")
    acting.route("*", "endpoint", number, "one")
    acting.route("billing:*", "endpoint", number, "other")
    acting.schedule("billing:renew", every="daily", payload={})
    for day in (1, 1, 2):
        acting.run(NOW + day * 86_400 * SECOND)
    assert len(acting.rows(DELIVERED)) == 4
    assert acting.rows("select count(distinct event_id) from webhooks.deliveries") == [(4,)]


def test_a_disabled_endpoint_and_one_of_another_organization_get_nothing(acting: Acting) -> None:
    off, foreign, own = (endpoint(acting, "https://hooks.example.org/in") for _ in range(3))
    acting.installation.execute(
        "update webhooks.endpoints set state = 'disabled', disabled_at = :at where id = :id",
        id=int(off),
        at=NOW,
    )
    acting.installation.execute(
        "with other as (insert into crm.organizations (external_id) values ('other') returning id)"
        " update webhooks.endpoints set organization_id = other.id from other"
        " where endpoints.id = :id",
        id=int(foreign),
    )
    for name in (off, foreign, own):
        acting.route("*", "endpoint", name, name)
    acting.schedule("billing:renew", run_at=NOW, payload={})
    acting.run()
    assert acting.rows(DELIVERED) == [(int(own), "billing:renew", "waiting")]
    refused = (
        "The organization has no enabled webhook endpoint {}: look at `webhook list`, then ask"
        " for the action again."
    )
    assert acting.rows(RUN_STATES) == [
        (off, "failed", refused.format(off)),
        (foreign, "failed", refused.format(foreign)),
        (own, "done", None),
    ]
