"""The API under schemathesis: no 5xx, answers as described, nothing done without its scope."""

from collections.abc import Iterator
from typing import Any

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

AS_DESCRIBED = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = settings(
    max_examples=15,
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


def test_whatever_is_sent_the_answer_is_as_described_and_never_5xx(api: Api) -> None:
    """Of the fresh installation `/health/jobs` says 503: no daemon has run."""
    seen = 0
    for operation in operations(api):
        header = credentials(api, operation.path)

        @EXAMPLES
        @given(case=operation.as_strategy())
        def answers(case: Any, header: dict[str, str] = header) -> None:
            response = case.call(headers=header)
            checks = AS_DESCRIBED[operation.path == "/health/jobs" :]
            case.validate_response(response, checks=checks, headers=header)

        answers()
        seen += 1
    assert seen >= 10


def test_whatever_is_sent_nothing_is_done_without_a_token_or_without_its_scope(api: Api) -> None:
    weakest = api.bearer("write")
    for operation in operations(api):
        if not is_guarded(operation.path):
            continue
        for header, statuses in (({}, {400, 401, 404}), (weakest, {400, 401, 403, 404})):

            @EXAMPLES
            @given(case=operation.as_strategy())
            def refuses(
                case: Any, header: dict[str, str] = header, statuses: set[int] = statuses
            ) -> None:
                assert case.call(headers=header).status_code in statuses

            refuses()
    assert api.installation.rows("select 1 from ops.job_sessions") == []
    [(entries, unanswered)] = api.installation.rows(
        "select count(*), count(*) filter (where status is null) from ops.audit_log"
    )
    assert entries > 100
    assert unanswered == 0
