"""Every job of the specification is on its clock in its environments, and no other job is."""

import re
from pathlib import Path

import pytest

from marketing_pipelines.definitions import defs
from marketing_pipelines.jobs.domain import DECLARATIONS
from marketing_pipelines.locations import PACKAGE
from marketing_pipelines.policies import ALL_ENVIRONMENTS
from marketing_pipelines_tests.test_definitions import CLOCKS

SPECIFICATION = PACKAGE.parent.parent.parent / "shared" / "spec" / "jobs.md"
# On in some environments alone, with the crons of those that development lacks.
PRODUCTION = {
    "analytics/daily_report": "0 8 * * 1-5",
    "upkeep/audit_logs": "0 0 * * *",
    "upkeep/backup": "0 4 * * *",
    "upkeep/database": "0 3 * * 0",
    "upkeep/expired_sessions": "0 0 * * *",
    "upkeep/job_sessions": "0 1 * * *",
    "upkeep/old_files": "0 0 * * *",
    "upkeep/old_rows": "15 1 * * *",
    "upkeep/queue_history": "0 0 * * *",
}
DEVELOPMENT = {"development/debug_metrics", "development/sample_job", "development/test_data"}
# The specification has these, and this release does not.
ABSENT = {"staging/data_sync", "staging/performance_test"}
# The clock of a page of sheets and the like is in the cell that follows the name.
ROW = re.compile(r"^\| `(\w+/\w+)`[^|]*\| `([-*/\d, ]+)`", re.MULTILINE)


@pytest.mark.parametrize("environment", ALL_ENVIRONMENTS)
def test_each_environment_has_these_clocks_and_no_others(environment: str) -> None:
    assert defs.schedules
    expected = {key: cron for key, cron in CLOCKS.items() if key not in DEVELOPMENT}
    if environment == "development":
        expected |= {key: CLOCKS[key] for key in DEVELOPMENT}
    if environment == "production":
        expected |= PRODUCTION
    on = {
        key: one.policy.cron
        for key, one in DECLARATIONS.items()
        if one.policy.cron is not None and environment in one.policy.environments
    }
    assert on == expected


@pytest.mark.skipif(not SPECIFICATION.exists(), reason="the specification is not here")
def test_the_clocks_are_those_of_the_specification() -> None:
    rows = dict(ROW.findall(Path(SPECIFICATION).read_text(encoding="utf-8")))
    assert len(rows) > 25
    known = CLOCKS | PRODUCTION
    assert {key: known.get(key) for key in rows if key not in ABSENT} == {
        key: cron for key, cron in rows.items() if key not in ABSENT
    }
