"""What Dagster sees: names, owners, clocks, and that it loads."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.workspace.load_target import WorkspaceFileTarget

from marketing_pipelines.cli.session import dagster_instance
from marketing_pipelines.definitions import defs
from marketing_pipelines.jobs.scheduling import WHILE_OFF
from marketing_pipelines.locations import CODE_LOCATION, PACKAGE, WORKSPACE_FILE, configuration_file
from marketing_pipelines.registry import import_errors
from marketing_pipelines_tests import given_program
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import assert_counted, count, event, stored
from marketing_pipelines_tests.scale import SOAK

ASSETS = [asset for asset in defs.assets or () if isinstance(asset, dg.AssetsDefinition)]
SOURCES = [asset for asset in defs.assets or () if isinstance(asset, dg.AssetSpec)]
CLOCKS = {
    "analytics/campaign_daily_stats": "0 2 * * *",
    "analytics/contact_activity": "0 * * * *",
    "analytics/event_aggregates": "0 * * * *",
    "analytics/monthly_usage": "0 3 1 * *",
    "campaigns/completions": "0 * * * *",
    "campaigns/reports": "30 2 * * *",
    "campaigns/sequence_progress": "*/5 * * * *",
    "campaigns/step_progress": "*/5 * * * *",
    "delivery/newsletter": "0 9 * * 1",
    "delivery/warmup_counters": "0 0 * * *",
    "development/debug_metrics": "*/15 * * * *",
    "development/sample_job": "0 */4 * * *",
    "development/test_data": "0 * * * *",
    "forms/sheet_submissions": "*/10 * * * *",
    "inbox/email_messages": "*/5 * * * *",
    "integrations/credentials": "0 3 * * *",
    "journeys/segment_entries": "5 * * * *",
    "journeys/stale_executions": "0 3 * * *",
    "journeys/step_progress": "*/5 * * * *",
    "leads/contact_enrichment": "0 2 * * *",
    "leads/follow_ups": "0 */2 * * *",
    "leads/intent_scores": "0 2 * * *",
    "leads/lead_scores": "30 2 * * *",
    "leads/leadsquared": "*/15 * * * *",
    "leads/lifecycle_stages": "0 */2 * * *",
    "leads/new_signals": "0 * * * *",
    "leads/opportunity_scores": "0 2 * * *",
    "leads/recycled_leads": "0 9 * * *",
    "leads/web_urls": "0 9 * * *",
    "sales/daily_insights": "0 8 * * *",
    "sales/meeting_briefs": "*/30 * * * *",
    "sales/stale_deals": "0 9 * * *",
    "operations/health": "*/5 * * * *",
    "operations/metrics": "0 * * * *",
    "segments/daily_sizes": "30 0 * * *",
    "segments/memberships": "0 * * * *",
    "upkeep/erasures": "30 3 * * *",
    "upkeep/run_history": "0 1 * * *",
}
OFF_IN_DEVELOPMENT = {
    "analytics/daily_report",
    "upkeep/audit_logs",
    "upkeep/backup",
    "upkeep/database",
    "upkeep/expired_sessions",
    "upkeep/job_sessions",
    "upkeep/old_files",
    "upkeep/old_rows",
    "upkeep/queue_history",
}
WITHOUT_CLOCK = {"analytics/hourly_events", "analytics/warehouse", "sales/insight_pages"}
# Started by a sensor alone.
BY_SENSOR = {"actions/scheduled_actions"}
HEAVY = "duckdb pandas pyarrow matplotlib adbc_driver_postgresql alembic pyspark"
LOAD = f"""
import sys, time
started = time.perf_counter()
from marketing_pipelines.definitions import defs
defs.get_repository_def()
print(time.perf_counter() - started)
print([module for module in "{HEAVY}".split() if module in sys.modules])
"""


def name(asset: dg.AssetsDefinition) -> str:
    return asset.key.to_user_string()


def test_the_location_loads_in_a_fresh_interpreter_without_an_engine_and_pandas() -> None:
    done = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True)
    seconds, heavy = done.stdout.splitlines()
    print(f"definitions loaded in {float(seconds):.2f} s")
    assert done.stderr == ""
    assert heavy == "[]"


def test_a_broken_file_is_left_out_and_the_others_load(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "__init__.py").touch()
    (tmp_path / "broken" / "jobs.py").write_text("import nothing_like_it")
    program = (
        "from marketing_pipelines import domains;"
        f"domains.__path__.append({str(tmp_path)!r});"
        "from marketing_pipelines.registry import import_errors;"
        "from marketing_pipelines.definitions import defs;"
        "print(len(defs.get_repository_def().asset_graph.materializable_asset_keys), import_errors)"
    )
    reason = "ModuleNotFoundError: No module named 'nothing_like_it'"
    module = "marketing_pipelines.domains.broken.jobs"
    assert given_program.printed(program) == f"{len(ASSETS)} { ({module: reason}) }\n"


def test_no_file_is_left_out() -> None:
    assert import_errors == {}


def test_definitions_are_valid() -> None:
    dg.Definitions.validate_loadable(defs)


@pytest.mark.parametrize("asset", ASSETS, ids=name)
def test_every_asset_says_whose_it_is_and_what_it_is(asset: dg.AssetsDefinition) -> None:
    spec = asset.get_asset_spec(asset.key)
    domain, outcome = asset.key.path
    assert asset.op.name == f"{domain}__{outcome}"
    assert spec.group_name == domain
    [owner] = spec.owners
    assert owner.startswith("team:")
    assert spec.kinds
    assert re.fullmatch(r"[A-Z].+\.", spec.description or "", re.DOTALL)
    assert "[" not in (spec.description or "")


@pytest.mark.parametrize("spec", SOURCES, ids=lambda spec: spec.key.to_user_string())
def test_every_source_says_whose_it_is_and_what_it_is(spec: dg.AssetSpec) -> None:
    assert spec.key.path[0] == spec.group_name
    # Tables that jobs read, and queues, which workers fill.
    assert spec.group_name == "sources" or spec.key.path in (
        ["exports", "requests"],
        ["webhooks", "deliveries"],
    )
    assert list(spec.owners)
    assert spec.kinds
    assert (spec.description or "").endswith(".")


def test_keys_and_clocks_are_these() -> None:
    schedules = {
        schedule.job_name.removesuffix("_job").replace("__", "/"): schedule.cron_schedule
        for schedule in defs.schedules or ()
        if isinstance(schedule, dg.ScheduleDefinition)
    }
    assert schedules == CLOCKS
    assert {name(asset) for asset in ASSETS} == {
        *CLOCKS,
        *OFF_IN_DEVELOPMENT,
        *WITHOUT_CLOCK,
        *BY_SENSOR,
    }


def test_jobs_and_schedules_are_named_after_their_asset() -> None:
    repository = defs.get_repository_def()
    stems = {key.replace("/", "__") for key in CLOCKS}
    assert {s.name for s in repository.schedule_defs} == {f"{stem}_schedule" for stem in stems}
    jobs = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    off = {key.replace("/", "__") for key in OFF_IN_DEVELOPMENT | BY_SENSOR}
    assert jobs == {f"{stem}_job" for stem in stems | off} | {"proactive_ai"}


def test_sensors_and_schedules_are_on_from_the_start() -> None:
    repository = defs.get_repository_def()
    assert {s.name for s in repository.sensor_defs} == {
        "alerts_sensor",
        "arrived_signals_sensor",
        "automation_sensor",
        "dead_runs_sensor",
        "due_actions_sensor",
        "due_messages_sensor",
        "evaluated_segments_sensor",
        "exports_sensor",
        "finished_campaigns_sensor",
        "stale_partitions_sensor",
        "touched_contacts_sensor",
        "webhooks_sensor",
    }
    assert {s.default_status for s in repository.sensor_defs} == {dg.DefaultSensorStatus.RUNNING}
    assert {s.default_status for s in repository.schedule_defs} == {
        dg.DefaultScheduleStatus.RUNNING
    }


def test_sensors_and_schedules_say_what_they_do_and_what_happens_while_they_are_off() -> None:
    repository = defs.get_repository_def()
    described = [*repository.sensor_defs, *repository.schedule_defs]
    undescribed = [
        one.name
        for one in described
        if not re.fullmatch(r"[A-Z].+\.", one.description or "", re.DOTALL)
    ]
    assert undescribed == []
    consequences = [str(sensor.metadata[WHILE_OFF].value) for sensor in repository.sensor_defs]
    assert [text for text in consequences if not re.fullmatch(r"[A-Z].+\.", text)] == []
    assert all("missed" in str(schedule.description) for schedule in repository.schedule_defs)


def test_one_name_of_the_code_location_stands_in_every_file_that_dagster_reads() -> None:
    """A run that the API starts is found under `up`, `dagster dev` and `dg dev` alike."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    [origin] = WorkspaceFileTarget([str(configuration_file(WORKSPACE_FILE))]).create_origins()
    assert origin.location_name == CODE_LOCATION
    assert project["tool"]["dagster"]["code_location_name"] == CODE_LOCATION
    assert project["tool"]["dg"]["project"]["code_location_name"] == CODE_LOCATION
    assert any(
        one.startswith("dagster-dg") for one in project["project"]["optional-dependencies"]["dg"]
    )


def test_dagsters_newsletter_dialog_is_off(installation: Installation) -> None:
    with dagster_instance() as instance:
        assert not instance.nux_enabled


WAREHOUSE = dg.AssetKey(["analytics", "warehouse"])


def test_the_warehouse_follows_each_source_and_lists_no_hours() -> None:
    latest = {}
    graph = defs.resolve_asset_graph()
    with dg.DagsterInstance.ephemeral() as instance:
        requests = _requests(instance)
        assert not next(requests)
        for key in sorted(graph.get(WAREHOUSE).parent_keys):
            partitions = graph.get(key).partitions_def
            assert partitions is not None
            read = graph.get_partition_mapping(
                WAREHOUSE, key
            ).get_upstream_mapped_partitions_result_for_partitions(None, None, partitions)
            latest[key.path[-1]] = len(read.partitions_subset) == 1
            _change(instance, key)
            assert next(requests), key
            assert not next(requests)
    assert [name for name, is_one in latest.items() if is_one] == ["hourly_events"]


@pytest.mark.parametrize("ticks", [0, 1])
def test_the_warehouse_follows_a_source_that_changes_while_it_runs(ticks: int) -> None:
    """Ticks: number of evaluations between the request and the change."""
    source = dg.AssetKey(["analytics", "event_aggregates"])
    with dg.DagsterInstance.ephemeral() as instance:
        requests = _requests(instance)
        assert not next(requests)
        _change(instance, source)
        assert next(requests)
        for _ in range(ticks):
            assert not next(requests)
        _change(instance, source)
        instance.report_runless_asset_event(dg.AssetMaterialization(WAREHOUSE))
        assert next(requests)
        instance.report_runless_asset_event(dg.AssetMaterialization(WAREHOUSE))
        assert not next(requests)


def _change(instance: dg.DagsterInstance, key: dg.AssetKey) -> None:
    """Reports the last partition of an asset as written."""
    partitions = defs.resolve_asset_graph().get(key).partitions_def
    assert partitions is not None
    partition = partitions.get_last_partition_key()
    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition))


def _requests(instance: dg.DagsterInstance) -> Iterator[bool]:
    """Each evaluation of the warehouse's condition: True if it requests a run."""
    cursor = None
    while True:
        done = dg.evaluate_automation_conditions(
            defs=defs,
            instance=instance,
            asset_selection=dg.AssetSelection.assets(WAREHOUSE),
            cursor=cursor,
        )
        cursor = done.cursor
        yield done.total_requested > 0


def test_every_partitioned_asset_does_a_backfill_in_one_run() -> None:
    for asset in ASSETS:
        if asset.partitions_def is not None:
            assert asset.backfill_policy == dg.BackfillPolicy.single_run(), name(asset)


def test_every_asset_reaches_back_to_a_source() -> None:
    graph = defs.resolve_asset_graph()
    for asset in ASSETS:
        roots = {key.path[0] for key in graph.get_ancestor_asset_keys(asset.key)}
        assert "sources" in roots, name(asset)


@pytest.mark.fault(22)
@pytest.mark.soak
def test_materialising_everything_twice_changes_nothing(
    installation: Installation, tmp_path: Path
) -> None:
    rows = [event(n, f"2026-03-01T{n % 3:02}:30:00Z", contact_id=f"c{n % 5}") for n in range(9)]
    installation.load_events(tmp_path, rows)
    seen = []
    for _ in range(2):
        installation.run("analytics/contact_activity", "2026-03-01-00:00", "2026-03-01-23:00")
        for job in ("analytics/event_aggregates", "analytics/campaign_daily_stats"):
            installation.run(job, "2026-03-01")
        if SOAK:
            installation.run("analytics/monthly_usage", "2026-03-01")
        installation.run("analytics/warehouse")
        seen.append(installation.fingerprints())
    assert seen[0] == seen[1]
    assert stored(installation, "hour") == count(rows, "hour")
    assert stored(installation, "day") == count(rows, "day")
    if SOAK:
        assert_counted(installation, rows)
