"""The sensor itself, evaluated by Dagster, and the runs that it asks for."""

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from marketing_pipelines.definitions import defs
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.runs.tags import ONLY_MARKED_TAG
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import assert_counted, event
from marketing_pipelines_tests.scale import soak_only

JOB = "analytics__contact_activity_job"
START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def evaluate(installation: Installation, cursor: str | None = None) -> list[dg.RunRequest]:
    """The runs that one evaluation asks for."""
    repository = defs.get_repository_def()
    sensor = repository.get_sensor_def("stale_partitions_sensor")
    with dg.build_sensor_context(
        instance=installation.instance,
        repository_def=repository,
        resources={"postgres": Postgres()},
        cursor=cursor,
    ) as context:
        result = sensor.evaluate_tick(context)
    assert result.cursor == cursor
    return list(result.run_requests or ())


def launch(installation: Installation, request: dg.RunRequest) -> Any:
    """The run that the daemon would launch for a request."""
    return defs.resolve_job_def(str(request.job_name)).execute_in_process(
        instance=installation.instance, tags=dict(request.tags), raise_on_error=False
    )


def asked_for(requests: list[dg.RunRequest]) -> list[tuple[str, str, str]]:
    return [(str(r.job_name), r.tags[START], r.tags[END]) for r in requests]


def minutes_ago(installation: Installation, minutes: int) -> None:
    """Makes every request look older."""
    installation.execute(
        "update analytics.requested_marks set requested_at = now() - make_interval(mins => :n)",
        n=minutes,
    )


def test_a_stale_hour_is_asked_for_once_however_often_the_sensor_looks(
    installation: Installation, tmp_path: Path
) -> None:
    installation.load_events(tmp_path, [event(1, "2026-03-01T10:00:00Z")])
    hour = [(JOB, "2026-03-01-10:00", "2026-03-01-10:00")]
    requests = evaluate(installation)
    assert asked_for(requests) == hour
    assert requests[0].tags[ONLY_MARKED_TAG] == "true"
    assert requests[0].run_key is None
    assert evaluate(installation) == []
    minutes_ago(installation, 14)
    assert evaluate(installation, cursor="from another life") == []


def test_what_was_asked_for_and_never_ran_is_asked_for_again(
    installation: Installation, tmp_path: Path
) -> None:
    installation.load_events(tmp_path, [event(1, "2026-03-01T10:00:00Z")])
    first = evaluate(installation)
    minutes_ago(installation, 16)
    assert asked_for(evaluate(installation)) == asked_for(first)


def test_a_run_of_the_job_that_is_under_way_is_waited_for(
    installation: Installation, tmp_path: Path
) -> None:
    installation.load_events(tmp_path, [event(1, "2026-03-01T10:00:00Z")])
    evaluate(installation)
    minutes_ago(installation, 16)
    run = installation.instance.create_run_for_job(
        defs.resolve_job_def(JOB), status=dg.DagsterRunStatus.STARTED
    )
    assert evaluate(installation) == []
    installation.instance.report_run_failed(run)
    assert len(evaluate(installation)) == 1


def test_a_newer_mark_is_asked_for_at_once(installation: Installation, tmp_path: Path) -> None:
    installation.load_events(tmp_path, [event(1, "2026-03-01T10:00:00Z")])
    first = evaluate(installation)
    assert evaluate(installation) == []
    installation.load_events(tmp_path, [event(2, "2026-03-01T10:30:00Z")])
    assert asked_for(evaluate(installation)) == asked_for(first)


@pytest.mark.soak
@soak_only
def test_asking_and_doing_comes_to_rest_with_everything_counted(
    installation: Installation, tmp_path: Path
) -> None:
    rows = [
        event(1, "2026-03-01T10:00:00Z"),
        event(2, "2026-03-31T23:59:59.999999Z", contact_id="c2"),
    ]
    installation.load_events(tmp_path, rows)
    for _ in range(12):
        requests = evaluate(installation)
        if not requests:
            break
        assert [launch(installation, request).success for request in requests] == [True] * len(
            requests
        )
    assert installation.rows("select * from analytics.stale_partitions") == []
    assert_counted(installation, rows)
    runs = installation.instance.get_runs()
    assert len(runs) < 16
    assert max(run.tags[START] for run in runs) < f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
