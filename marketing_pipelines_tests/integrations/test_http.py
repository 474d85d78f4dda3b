"""The one client for services: what each way of misbehaving becomes, and what it costs."""

import datetime as dt
import logging
import time

import httpx2
import pytest
import stamina

from marketing_pipelines.domains.integrations.http import (
    MAX_REDIRECTS,
    HttpLimits,
    LoginRefusedError,
    RequestRefusedError,
    ServiceClient,
    ServiceUnavailableError,
    TimeUsedUpError,
    WrongAnswerError,
    pause_before_retry,
    retry_after,
)
from marketing_pipelines.domains.integrations.listings import each_page
from marketing_pipelines.domains.integrations.spacing import Spacing
from marketing_pipelines_tests.integrations.service import (
    BROKEN,
    FOR_AN_HOUR,
    HANGS_UP,
    NO_JSON,
    OTHER_JSON,
    REFUSED,
    SLOW_DOWN,
    TRUNCATED,
    Asked,
    Said,
    Service,
    service,
)

LIMITS = HttpLimits(timeout=0.3, deadline=5.0, attempts=3, max_bytes=1_000)
SECOND = dt.timedelta(seconds=1)


def client(outside: Service, limits: HttpLimits = LIMITS) -> ServiceClient:
    return ServiceClient(
        outside.url, headers={"X-Api-Key": "key-of-ours"}, query={"k": "q-key"}, limits=limits
    )


def test_a_request_carries_keys_and_query_and_its_answer_is_an_object(outside: Service) -> None:
    outside.answer = lambda asked: Said({"n": 1}, headers={"ETag": '"v1"'})
    with client(outside) as calls:
        answer = calls.get("/things", {"page": "2"}, etag='"v0"')
        assert (answer.json_object(), answer.etag, answer.is_unchanged) == ({"n": 1}, '"v1"', False)
        calls.post("/find", {"a": ["é"]})
    got, sent = outside.asked
    assert (got.method, got.path, got.query) == ("GET", "/things", {"k": "q-key", "page": "2"})
    assert (got.headers["X-Api-Key"], got.headers["If-None-Match"]) == ("key-of-ours", '"v0"')
    assert (sent.method, sent.query, sent.body) == ("POST", {"k": "q-key"}, {"a": ["é"]})


def test_an_unchanged_page_has_no_body(outside: Service) -> None:
    outside.answer = lambda asked: Said(status=304)
    with client(outside) as calls:
        assert calls.get("/things", etag='"v1"').is_unchanged


@pytest.mark.parametrize(
    "mood",
    [SLOW_DOWN, BROKEN, TRUNCATED, HANGS_UP, Said({}, silent=0.6), Said(status=503)],
    ids=["429", "500", "truncated", "hangs up", "silent", "503"],
)
def test_a_passing_trouble_is_tried_again(outside: Service, mood: Said | None) -> None:
    outside.misbehave(mood, mood)
    outside.answer = lambda asked: Said({"fine": True})
    with client(outside) as calls:
        assert calls.get("/things").json_object() == {"fine": True}
    assert len(outside.asked) == 3


@pytest.mark.parametrize(
    ("mood", "sentence"),
    [
        (BROKEN, "/things answers 500 (out of order)."),
        (TRUNCATED, "/things cannot be reached: "),
        (HANGS_UP, "/things cannot be reached: "),
        (Said({}, silent=0.6), "/things did not answer in time."),
    ],
    ids=["500", "truncated", "hangs up", "silent"],
)
def test_a_lasting_trouble_ends_after_the_last_attempt(
    outside: Service, mood: Said | None, sentence: str
) -> None:
    outside.misbehave(*[mood] * 9)
    with client(outside) as calls, pytest.raises(ServiceUnavailableError) as failed:
        calls.get("/things")
    assert str(failed.value).startswith(f"{outside.url}{sentence}")
    assert len(outside.asked) == 3


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_refused_request_is_not_tried_again(outside: Service, status: int) -> None:
    outside.answer = lambda asked: Said({"message": "no such thing."}, status=status)
    with client(outside) as calls, pytest.raises(RequestRefusedError) as refused:
        calls.get("/things")
    assert str(refused.value) == f"{outside.url}/things answers {status} (no such thing)."
    assert len(outside.asked) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_waits_for_another(outside: Service, status: int) -> None:
    outside.answer = lambda asked: Said({"error": "who?"}, status=status)
    with client(outside) as calls, pytest.raises(LoginRefusedError) as refused:
        calls.get("/things")
    assert str(refused.value).endswith(f"answers {status} (who?): give other keys with "
                                       "`connection set`.")  # fmt: skip
    assert len(outside.asked) == 1


def test_a_pause_longer_than_the_deadline_is_told_to_the_caller(outside: Service) -> None:
    outside.misbehave(FOR_AN_HOUR)
    with client(outside) as calls, pytest.raises(ServiceUnavailableError) as failed:
        calls.get("/things")
    assert failed.value.wait == dt.timedelta(hours=1)
    assert len(outside.asked) == 1


def test_the_pause_before_a_retry_is_the_one_that_the_service_names() -> None:
    asked = ServiceUnavailableError("slow down", 7 * SECOND)
    assert pause_before_retry(asked, 7.0) == 7.0
    assert pause_before_retry(asked, 6.9) is False
    assert pause_before_retry(ServiceUnavailableError("broken"), 1.0) is True
    assert pause_before_retry(ServiceUnavailableError("broken"), 0.0) is False
    for final in (WrongAnswerError("?"), LoginRefusedError("?"), RequestRefusedError("?")):
        assert pause_before_retry(final, 99.0) is False


def test_the_named_pause_is_kept(outside: Service) -> None:
    outside.misbehave(Said({}, status=429, headers={"Retry-After": "1"}))
    started = time.monotonic()
    with stamina.set_testing(False), client(outside) as calls:
        calls.get("/things")
    assert 1.0 <= time.monotonic() - started < 3.0


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after({"Retry-After": "120"}) == 120 * SECOND
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0 * SECOND
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
    wait = retry_after({"Retry-After": later.strftime("%a, %d %b %Y %H:%M:%S GMT")})
    assert wait is not None
    assert 7_190 * SECOND < wait <= 7_200 * SECOND
    for odd in ("", "soon", "-3", "²", "Fri, 31 Dec 9999 23:59:59 -2359"):
        assert retry_after({"Retry-After": odd}) is None
    assert retry_after({}) is None


def test_a_slow_drip_ends_at_the_deadline(outside: Service) -> None:
    outside.answer = lambda asked: Said({"long": "x" * 200}, drips=0.05)
    limits = HttpLimits(timeout=0.3, deadline=0.5, attempts=3)
    started = time.monotonic()
    with client(outside, limits) as calls, pytest.raises(ServiceUnavailableError, match="in time"):
        calls.get("/things")
    assert time.monotonic() - started < 2.0


def test_no_call_is_made_once_the_time_for_all_calls_is_used_up(outside: Service) -> None:
    with (
        ServiceClient(outside.url, limits=LIMITS, ends_at=time.monotonic()) as calls,
        pytest.raises(TimeUsedUpError, match="The time for calls to http://127"),
    ):
        calls.get("/")
    assert outside.asked == []


def test_a_call_ends_with_the_time_for_all_calls(outside: Service) -> None:
    outside.answer = lambda asked: Said(b"x" * 900, drips=0.05)
    started = time.monotonic()
    with (
        ServiceClient(outside.url, limits=LIMITS, ends_at=started + 0.2) as calls,
        pytest.raises(ServiceUnavailableError, match="did not answer in time"),
    ):
        calls.get("/")
    assert time.monotonic() - started < LIMITS.deadline / 2


def test_an_answer_beyond_the_size_is_not_read_to_its_end(outside: Service) -> None:
    outside.answer = lambda asked: Said({"long": "x" * 2_000})
    with client(outside) as calls, pytest.raises(WrongAnswerError, match="more than 1,000 bytes"):
        calls.get("/things")
    assert len(outside.asked) == 1


@pytest.mark.parametrize(
    ("mood", "sentence"),
    [(NO_JSON, "does not answer in JSON"), (OTHER_JSON, "JSON that is no object"),
     (Said(b"[" * 900), "does not answer in JSON")],
    ids=["html", "a list", "nested"],
)  # fmt: skip
def test_an_answer_that_is_no_json_object_is_wrong(
    outside: Service, mood: Said, sentence: str
) -> None:
    outside.misbehave(mood)
    with client(outside) as calls, pytest.raises(WrongAnswerError, match=sentence):
        calls.get("/things").json_object()


def test_a_redirect_is_followed_on_the_same_host_with_its_keys(outside: Service) -> None:
    outside.misbehave(Said(status=302, headers={"Location": "/elsewhere?page=3"}))
    with client(outside) as calls:
        calls.get("/things")
    assert outside.asked[1].path == "/elsewhere"
    assert outside.asked[1].query == {"page": "3"}
    assert outside.asked[1].headers["X-Api-Key"] == "key-of-ours"


def test_another_host_gets_neither_keys_nor_query(outside: Service) -> None:
    with service() as other:
        outside.misbehave(Said(status=307, headers={"Location": f"{other.url}/x"}))
        with client(outside) as calls:
            calls.get("/things", etag='"v1"')
        [asked] = other.asked
    assert "X-Api-Key" not in asked.headers
    assert asked.query == {}
    assert "key" not in str(asked).replace("X-Api-Key", "")


def test_a_loop_of_redirects_ends(outside: Service) -> None:
    outside.answer = lambda asked: Said(status=302, headers={"Location": "/things"})
    with client(outside) as calls, pytest.raises(WrongAnswerError, match="more than 5 times"):
        calls.get("/things")
    assert len(outside.asked) == MAX_REDIRECTS + 1


@pytest.mark.parametrize("location", ["/elsewhere", None])
def test_a_post_is_not_sent_to_another_address(outside: Service, location: str | None) -> None:
    headers = {} if location is None else {"Location": location}
    outside.misbehave(Said(status=308, headers=headers))
    with client(outside) as calls, pytest.raises(RequestRefusedError, match="set the url"):
        calls.post("/find", {})
    assert len(outside.asked) == 1


def test_an_address_of_another_kind_is_not_followed(outside: Service) -> None:
    outside.misbehave(Said(status=302, headers={"Location": "file:///etc/passwd"}))
    with client(outside) as calls, pytest.raises(WrongAnswerError, match="without https"):
        calls.get("/things")


def test_a_service_that_is_not_there_is_unavailable() -> None:
    with (
        ServiceClient("http://127.0.0.1:1", limits=LIMITS) as calls,
        pytest.raises(ServiceUnavailableError, match=r"^http://127.0.0.1:1/x cannot be"),
    ):
        calls.get("/x")


def test_no_error_and_no_log_line_tells_a_key(
    outside: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    outside.misbehave(BROKEN, TRUNCATED, HANGS_UP)
    with client(outside) as calls, pytest.raises(ServiceUnavailableError) as failed:
        calls.post("/find", {})
    outside.misbehave(REFUSED)
    with client(outside) as calls, pytest.raises(LoginRefusedError) as refused:
        calls.post("/find", {})
    told = caplog.text + str(failed.value) + str(refused.value)
    assert "q-key" not in told
    assert "key-of-ours" not in told


def test_calls_are_spaced(outside: Service) -> None:
    spacing = Spacing(5, 0.5)
    started = time.monotonic()
    with ServiceClient(outside.url, spacing=spacing, limits=LIMITS) as calls:
        for _ in range(5):
            calls.get("/things")
    assert 0.4 <= time.monotonic() - started < 1.5


def test_pages_follow_each_other_until_the_last() -> None:
    listing = {None: ("a", "2"), "2": ("b", "3"), "3": ("c", None)}
    assert list(each_page(lambda cursor: listing[cursor])) == ["a", "b", "c"]


def test_a_listing_that_leads_back_or_does_not_end_is_wrong() -> None:
    with pytest.raises(WrongAnswerError, match="leads back to its page '2'"):
        list(each_page(lambda cursor: ("page", "2")))
    with pytest.raises(WrongAnswerError, match="more than 7 pages"):
        list(each_page(lambda cursor: ("page", str(int(cursor or 0) + 1)), most=7))


def test_the_answer_of_a_service_is_read_as_its_header_says(outside: Service) -> None:
    def answer(asked: Asked) -> Said:
        assert asked.headers["Accept-Encoding"] == "identity"
        return Said({"ok": 1})

    outside.answer = answer
    with client(outside) as calls:
        assert calls.get("/").status == httpx2.codes.OK
