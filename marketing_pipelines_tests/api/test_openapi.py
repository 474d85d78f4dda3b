"""The API under schemathesis: no 5xx, answers as described, nothing done without its scope."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from marketing_pipelines.api.admission import is_guarded
from marketing_pipelines_tests.api.conftest import CRON_SECRET, Api
from marketing_pipelines_tests.scale import SOAK

AS_DESCRIBED = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = settings(
    max_examples=30 if SOAK else 4,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def operations(api: Api) -> Iterator[Any]:
    schema = schemathesis.openapi.from_asgi("/openapi.json", api.app)
    for result in schema.get_all_operations():
        yield result.ok()


def credentials(api: Api, path: str) -> dict[str, str]:
    if path.startswith("/cron"):
        return {"Authorization": f"Bearer {CRON_SECRET}"}
    return api.bearer("admin")


def for_each_case(
    operation: Any, check: Callable[[Any], None], examples: settings = EXAMPLES
) -> None:
    """Checks what schemathesis makes up for the operation."""

    @examples
    @given(case=operation.as_strategy())
    def each(case: Any) -> None:
        check(case)

    each()


def answers_as_described(operation: Any, header: dict[str, str]) -> None:
    """Of a fresh installation `/health/jobs` says 503: no daemon has run."""
    checks = AS_DESCRIBED[operation.path == "/health/jobs" :]

    def check(case: Any) -> None:
        response = case.call(headers=header)
        case.validate_response(response, checks=checks, headers=header)

    for_each_case(operation, check)


def refuses(operation: Any, header: dict[str, str], statuses: set[int]) -> None:
    def check(case: Any) -> None:
        assert case.call(headers=header).status_code in statuses

    # Little of a call is read before its token.
    for_each_case(operation, check, settings(EXAMPLES, max_examples=2))


@pytest.mark.soak
def test_whatever_is_sent_the_answer_is_as_described_and_never_5xx(api: Api) -> None:
    seen = 0
    for operation in operations(api):
        answers_as_described(operation, credentials(api, operation.path))
        seen += 1
    assert seen == 37


def test_whatever_is_sent_nothing_is_done_without_a_token_or_without_its_scope(api: Api) -> None:
    reads, writes = api.bearer("read"), api.bearer("write")
    guarded = [operation for operation in operations(api) if is_guarded(operation.path)]
    assert len(guarded) == 32
    for operation in guarded:
        refuses(operation, {}, {400, 401, 404})
        weakest = reads if operation.path.startswith("/v1") else writes
        refuses(operation, weakest, {400, 401, 403, 404})
    assert api.installation.rows("select 1 from ops.job_sessions") == []
    [(entries, unanswered)] = api.installation.rows(
        "select count(*), count(*) filter (where status is null) from ops.audit_log"
    )
    assert entries > 2 * len(guarded)
    assert unanswered == 0
