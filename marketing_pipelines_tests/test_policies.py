"""Policies: what `jobs.toml` may say, what it changes, and the sentence where it is wrong."""

import datetime as dt
import json

import pytest
import sqlalchemy as sa

from marketing_pipelines import installation_settings, policies
from marketing_pipelines.definitions import defs  # declares every policy
from marketing_pipelines.domains import load_tasks
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.policies import Policy, exponential, five_fields, fixed, policy_of
from marketing_pipelines.queueing import queues
from marketing_pipelines.queueing.queues import KeptTasks
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines_tests import given_program
from marketing_pipelines_tests.cli.console import call, refusal
from marketing_pipelines_tests.faults.running import free_port
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.probe import KEY, run_probe, write_policies
from marketing_pipelines_tests.runs.test_tick import all_sessions, delays_of

WAREHOUSE, DAYS = "analytics/warehouse", "analytics/event_aggregates"
HISTORY = "upkeep/run_history"
# Definitions follow `jobs.toml` as it is when a process imports them.
LOOK = """
import json

from marketing_pipelines.definitions import defs
from marketing_pipelines_tests.cli.console import call_here

repository = defs.get_repository_def()
schedules = [(schedule.name, schedule.cron_schedule) for schedule in repository.schedule_defs]
seen = {
    "schedules": sorted(pair for pair in schedules if "analytics" in pair[0]),
    "has_job": repository.has_job("analytics__event_aggregates_job"),
    "timetable": call_here("timetable").stdout,
    "run": call_here("run", "upkeep/run_history").returncode,
    "missed": call_here("missed", "--all").stdout,
}
print(json.dumps(seen))
"""


def complaint(text: str) -> str:
    """The sentence with which the file is refused, its path left out."""
    file = write_policies(text)
    scheduled = {
        name: policies.declared(name).cron is not None for name in (WAREHOUSE, DAYS, HISTORY)
    }

    def read() -> None:
        installation_settings.validate()
        policies.require_known(scheduled, partitioned=[DAYS])
        policies.require_known_queues(["crm-events", "default"])

    with pytest.raises(ConfigurationError) as refused:
        read()
    sentence = str(refused.value)
    assert sentence.startswith(str(file))
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence.removeprefix(f"{file} ")


def test_without_a_file_a_policy_is_what_stands_beside_the_asset(
    environment: dict[str, str],
) -> None:
    assert defs.assets
    assert policy_of(DAYS) == Policy(cron="0 * * * *", catch_up="all")
    assert policy_of(WAREHOUSE) == Policy()
    assert policy_of("operations/health").retries == (5.0, 5.0)


@pytest.mark.parametrize(
    ("written", "retries"),
    [
        ("[1, 5, 30]", (1.0, 5.0, 30.0)),
        ("[]", ()),
        ("{ times = 2, fixed = 5 }", (5.0, 5.0)),
        ("{ times = 4, exponential = 0.5 }", (0.5, 1.0, 2.0, 4.0)),
    ],
)
def test_everything_can_be_changed_for_one_deployment(
    environment: dict[str, str], written: str, retries: tuple[float, ...]
) -> None:
    write_policies(
        f'["{HISTORY}"]\nenabled = false\ncron = "0 30 */2 * * *"\ntimeout = 90\nalert = false\n'
        f'environments = ["production"]\ncatch_up = "skip"\nretries = {written}\n'
    )
    assert policy_of(HISTORY) == Policy(
        cron="30 */2 * * *",
        catch_up="skip",
        timeout=dt.timedelta(seconds=90),
        retries=retries,
        alert=False,
        enabled=False,
        environments=("production",),
    )
    assert policy_of(WAREHOUSE) == Policy()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '["analytics/warehose"]\nalert = false\n',
            "line 1 cannot be used: there is no job 'analytics/warehose'",
        ),
        (
            f'# quiet\n["{WAREHOUSE}"]\ntimeout = 5\n\n["{DAYS}"]\ntimeuot = 5\n',
            "line 6 cannot be used: there is no key 'timeuot', only enabled, cron,",
        ),
        (
            f'["{DAYS}"]\nalert = true\nenabled = "no"\n',
            "line 3 cannot be used: enabled: Input should be a valid boolean",
        ),
        (
            f'["{DAYS}"]\ntimeout = 0\n',
            "line 2 cannot be used: timeout: Input should be greater than 0",
        ),
        (
            f'["{DAYS}"]\ncron = "30 0 2 * * *"\n',
            "line 2 cannot be used: cron: '30 0 2 * * *' has six fields and its second is 30",
        ),
        (
            f'["{DAYS}"]\ncron = "every day"\n',
            "line 2 cannot be used: cron: 'every day' is no cron of five fields",
        ),
        (
            f'["{DAYS}"]\ncron = "61 * * * *"\n',
            "line 2 cannot be used: cron: '61 * * * *' is no cron of five fields",
        ),
        (
            f'["{DAYS}"]\nretries = {{ times = 3 }}\n',
            "line 2 cannot be used: retries: must be a list of seconds",
        ),
        (
            f'["{DAYS}"]\nenvironments = ["prod"]\n',
            "line 2 cannot be used: environments: Input should be 'development', 'staging' or",
        ),
        (
            f'["{WAREHOUSE}"]\ntimeout = 5\ncron = "0 1 * * *"\n',
            "line 3 cannot be used: analytics/warehouse has no schedule to change",
        ),
        (
            f'["{DAYS}"]\ntimeout = inf\n',
            "line 2 cannot be used: timeout: Input should be less than or equal to 2592000",
        ),
        (
            f'["{DAYS}"]\nretries = [1, inf]\n',
            "line 2 cannot be used: retries: must be a list of seconds",
        ),
        (
            f'["{DAYS}"]\nretries = {{ times = 2000, exponential = 1 }}\n',
            "line 2 cannot be used: retries: must be a list of seconds",
        ),
        (
            f'["{DAYS}"]\nretries = {{ times = true, fixed = 1 }}\n',
            "line 2 cannot be used: retries: must be a list of seconds",
        ),
        (
            f'["{DAYS}"]\ncatch_up = "once"\n',
            "line 2 cannot be used: analytics/event_aggregates can catch up only all",
        ),
        (
            f'["{HISTORY}"]\nalert = false\ncatch_up = "all"\n',
            "line 3 cannot be used: upkeep/run_history can catch up once or skip",
        ),
        ("alert = false\n", "line 1 cannot be used: 'alert' must stand below the job it changes"),
        (f'["{DAYS}"\n', "is not TOML: "),
        (
            "[credentials]\nwarn_days = 400\n",
            "line 2 cannot be used: warn_days: Input should be less than or equal to 365",
        ),
        (
            "\n[credentials]\nwarn_day = 4\n",
            "line 3 cannot be used: there is no key 'warn_day', only warn_days",
        ),
        (
            '[queues.default]\nconcurrency = 2\n\n[queues."crm-event"]\nretries = []\n',
            "line 4 cannot be used: there is no queue 'crm-event', only crm-events, default",
        ),
        (
            '[queues.default]\nconcurrency = 2\n\n[queues."crm-events"]\nconcurrency = 0\n',
            "line 5 cannot be used: concurrency: Input should be greater than or equal to 1",
        ),
        (
            "[queues.default]\n\nkeep_failed = { hours = 1 }\n",
            "line 3 cannot be used: keep_failed",
        ),
        (
            '[queues.default]\nkeep_failed = "never"\n',
            'line 2 cannot be used: keep_failed: must be "always" or { hours = 168, rows = 5000 }',
        ),
        ("[queues]\ndefault = 3\n", "line 2 cannot be used: each queue has a table of its own"),
        ("queues = 3\n", "line 1 cannot be used: each queue has a table of its own"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_line(
    environment: dict[str, str], text: str, sentence: str
) -> None:
    assert complaint(text).startswith(sentence)


def test_a_table_that_is_no_job_holds_settings_of_the_installation(
    environment: dict[str, str],
) -> None:
    write_policies(f'[credentials]\nwarn_days = 30\n\n["{WAREHOUSE}"]\nalert = false\n')
    assert installation_settings.credentials().warn_days == 30
    assert list(policies.overrides()) == [WAREHOUSE]


def test_a_queue_is_changed_for_one_deployment(environment: dict[str, str]) -> None:
    write_policies(
        '[queues."crm-events"]\nconcurrency = 2\nper_second = 0\nretries = [9]\ntimeout = 7\n'
        'keep_completed = { hours = 1, rows = 5 }\nkeep_failed = "always"\n'
    )
    load_tasks()
    changed = queues.find("crm-events")
    assert (changed.concurrency, changed.per_second, changed.retry.delays) == (2, None, (9.0,))
    assert changed.timeout == dt.timedelta(seconds=7)
    assert changed.keep_completed == KeptTasks(dt.timedelta(hours=1), 5)
    assert changed.keep_failed is None
    assert queues.find("default") == queues.DEFAULT


@pytest.mark.parametrize(
    ("cron", "five"), [("*/5 * * * *", "*/5 * * * *"), ("0 30 2 * * 1-5", "30 2 * * 1-5")]
)
def test_a_cron_has_five_fields_or_a_zero_before_them(cron: str, five: str) -> None:
    assert five_fields(cron) == five


def test_a_run_may_take_as_long_as_all_its_attempts_and_their_waits() -> None:
    policy = Policy(timeout=dt.timedelta(minutes=5), retries=(5.0, 25.0))
    assert policy.longest == dt.timedelta(minutes=3 * 5 + 1, seconds=30)


def test_delays_are_listed_fixed_or_doubled() -> None:
    assert fixed(3, 5) == (5.0, 5.0, 5.0)
    assert exponential(3, 1) == (1.0, 2.0, 4.0)
    assert exponential(0, 1) == fixed(0, 1) == ()


def test_commands_that_load_the_jobs_refuse_an_unknown_one(installation: Installation) -> None:
    file = write_policies('["analytics/nothing"]\nalert = false\n')
    sentence = (
        f"{file} line 1 cannot be used: there is no job 'analytics/nothing'; "
        "docs/timetable.md lists them."
    )
    assert refusal("timetable") == sentence
    done = call("doctor")
    assert done.returncode == 1
    assert f"problem  definitions: {sentence}" in done.stdout


def test_up_does_not_start_with_a_key_that_there_is_not(environment: dict[str, str]) -> None:
    file = write_policies(f'["{HISTORY}"]\nenabeld = false\n')
    said = refusal("up", "--port", str(free_port()), "--api-port", str(free_port()))
    assert said.startswith(f"{file} line 2 cannot be used: there is no key 'enabeld', only ")


def test_a_disabled_job_is_not_on_the_clock_and_runs_by_hand(installation: Installation) -> None:
    off = "".join(f'["{job}"]\nenabled = false\n' for job in (DAYS, HISTORY))
    write_policies(f'{off}["analytics/contact_activity"]\ncron = "7 * * * *"\n')
    seen = json.loads(given_program.printed(LOOK))
    assert seen["schedules"] == [
        ["analytics__campaign_daily_stats_schedule", "0 2 * * *"],
        ["analytics__contact_activity_schedule", "7 * * * *"],
        ["analytics__monthly_usage_schedule", "0 3 1 * *"],
    ]
    assert seen["has_job"]
    lines = [line.split() for line in seen["timetable"].splitlines()]
    assert [line[6] for line in lines if DAYS in line] == ["off"]
    assert seen["run"] == 0
    missed = {line.split()[1] for line in seen["missed"].splitlines()}
    assert not missed & {DAYS, HISTORY}


def test_the_retries_of_the_policy_hold_for_a_run_without_any_tags(engine: sa.Engine) -> None:
    """A click in the UI and a backfill run Dagster's own job, which knows nothing of ours."""
    write_policies(f'["{KEY}"]\nretries = [0.1, 0.3]\n')

    def body(_tick: Tick) -> None:
        raise ValueError("still broken")

    result = run_probe(engine, body)
    assert delays_of(result) == [0.1, 0.3]
    assert all_sessions(engine, "status, will_retry") == [
        ("FAILED", True),
        ("FAILED", True),
        ("FAILED", False),
    ]


def test_the_timeout_of_the_policy_holds_for_a_run_without_any_tags(engine: sa.Engine) -> None:
    write_policies(f'["{KEY}"]\ntimeout = 0.2\nretries = []\n')

    def body(tick: Tick) -> None:
        with tick.begin() as connection:
            connection.exec_driver_sql("select pg_sleep(60)")

    run_probe(engine, body)
    assert all_sessions(engine) == [
        ("TIMED_OUT", f"{KEY} was stopped after 0.2 s, the time it may take.")
    ]
