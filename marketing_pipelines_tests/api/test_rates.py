"""Public addresses have a rate: a link has one, and refused calls of a network address."""

import datetime as dt
from dataclasses import dataclass

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from marketing_pipelines.api import rates
from marketing_pipelines.api.rates import CALLS_OF_LINK, OVER_RATE, REFUSED_CALLS_OF_ADDRESS, Rates
from marketing_pipelines_tests.api.test_access import OPEN


@dataclass
class Site:
    """Public addresses behind their rates: those that end in `forged` are refused with 404."""

    now: dt.datetime = dt.datetime(2026, 3, 2, 9, 0, 15, tzinfo=dt.UTC)
    served: int = 0

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.served += 1
        request = Request(scope)
        status = 404 if request.url.path.endswith("forged") else 200
        body = str(getattr(request.state, OVER_RATE, None))
        await PlainTextResponse(body, status)(scope, receive, send)

    def client(self, address: str = "203.0.113.7") -> TestClient:
        """A caller with this network address."""
        return TestClient(self.guarded, client=(address, 50_000))

    def __post_init__(self) -> None:
        self.guarded = Rates(self.app, now=lambda: self.now)


@pytest.fixture
def site() -> Site:
    """Addresses that nobody has called."""
    return Site()


def test_a_link_has_a_rate_whoever_calls_it_and_others_have_their_own(site: Site) -> None:
    callers = [site.client(f"203.0.113.{n}") for n in range(6)]
    for n in range(CALLS_OF_LINK):
        assert callers[n % 6].post("/unsubscribe/a").status_code == 200
    refused = callers[0].get("/unsubscribe/a")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "45")
    assert refused.json() == {
        "error": "There are too many calls from here or of this link: wait 45 seconds."
    }
    assert callers[0].get("/unsubscribe/b").status_code == 200
    site.now += dt.timedelta(seconds=45)
    assert callers[0].get("/unsubscribe/a").status_code == 200
    assert site.served == CALLS_OF_LINK + 2


@pytest.mark.parametrize("path", ["/o/a.gif", "/c/a"])
def test_a_counted_link_still_answers_above_its_rate_and_is_not_counted(
    site: Site, path: str
) -> None:
    answers = [site.client().get(path) for _ in range(CALLS_OF_LINK + 1)]
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.text for answer in answers[-2:]] == ["False", "True"]


def test_refused_calls_of_an_address_have_a_rate_and_good_ones_have_none(site: Site) -> None:
    caller = site.client()
    for _ in range(REFUSED_CALLS_OF_ADDRESS):
        assert caller.post("/hooks/sendgrid").status_code == 200
        assert caller.post("/hooks/forged").status_code == 404
    assert caller.post("/hooks/sendgrid").status_code == 429
    assert caller.get("/view/a").status_code == 429
    assert caller.get("/health/live").status_code == 200
    assert site.client("203.0.113.8").post("/hooks/sendgrid").status_code == 200


def test_addresses_of_one_ipv6_network_are_one_and_a_proxy_of_this_machine_is_none(
    site: Site,
) -> None:
    for n in range(REFUSED_CALLS_OF_ADDRESS):
        site.client(f"2001:db8::{n:x}").get("/view/forged")
        site.client("127.0.0.1").get("/view/forged")
    assert site.client("2001:db8::ffff:1").get("/view/a").status_code == 429
    assert site.client("2001:db8:0:1::1").get("/view/a").status_code == 200
    assert site.client("127.0.0.1").get("/view/forged").status_code == 404


def test_a_flood_of_addresses_fills_no_memory(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_COUNTED", 3)
    for n in range(5):
        site.client(f"203.0.113.{n}").get("/view/forged")
    assert len(site.guarded._calls) == 3


def test_every_open_address_that_is_for_the_public_has_a_rate() -> None:
    monitors = ("/health/", "/metrics", "/static/")
    public = {path for path in OPEN if not path.startswith(monitors)}
    assert {path for path in OPEN if path.startswith(rates.PUBLIC)} == public
