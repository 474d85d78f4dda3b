"""The sensor asks for an evaluation as soon as something was touched, and for nothing else."""

from pathlib import Path

import dagster as dg
import pytest

from marketing_pipelines.definitions import defs
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.segments.test_evaluation import IN_BERN, Segments

JOB = "segments__memberships_job"


@pytest.fixture
def segments(installation: Installation, tmp_path: Path) -> Segments:
    return Segments(installation, tmp_path)


def asks(installation: Installation) -> bool:
    """True if the sensor asks for a run."""
    repository = defs.get_repository_def()
    with dg.build_sensor_context(
        instance=installation.instance,
        repository_def=repository,
        resources={"postgres": Postgres()},
    ) as context:
        sensor = repository.get_sensor_def("touched_contacts_sensor")
        return bool(sensor.evaluate_tick(context).run_requests)


def test_without_segments_it_asks_for_nothing(segments: Segments) -> None:
    segments.contacts({"external_id": "ann"})
    assert not asks(segments.installation)


def test_it_asks_until_an_evaluation_has_seen_the_change(segments: Segments) -> None:
    segments.rule("bernese", IN_BERN)
    segments.contacts({"external_id": "ann", "city": "Bern"})
    assert asks(segments.installation)
    segments.evaluate()
    assert not asks(segments.installation)
    for change in (
        lambda: segments.event("ann", "opened", "2026-03-10T11:00:00Z"),
        lambda: segments.contacts({"external_id": "ann", "city": "Bonn"}),
        lambda: segments.manual("bernese", "ann", "add"),
        lambda: segments.rule("bernese", {"all": []}),
        lambda: segments.rule("another", {"all": []}),
    ):
        change()
        assert asks(segments.installation)
        assert asks(segments.installation), "a lost request is asked for again"
        segments.evaluate()
        assert not asks(segments.installation)


def test_it_does_not_ask_again_and_again_for_a_rule_that_is_broken(segments: Segments) -> None:
    segments.rule("broken", {"attribute": "nope", "op": "exists"})
    segments.rule("sound", {"all": []})
    segments.evaluate()
    assert not asks(segments.installation)
    segments.rule("broken", {"attribute": "email", "op": "exists"})
    assert asks(segments.installation)


def test_it_waits_for_an_evaluation_that_is_under_way(segments: Segments) -> None:
    segments.rule("everybody", {"all": []})
    job = defs.resolve_job_def(JOB)
    run = segments.installation.instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, asset_selection=None
    )
    assert not asks(segments.installation)
    segments.installation.instance.delete_run(run.run_id)
    assert asks(segments.installation)
