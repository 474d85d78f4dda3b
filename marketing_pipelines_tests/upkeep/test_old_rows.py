"""Old rows go by the rules of their tables: counted first, then removed in small transactions."""

import datetime as dt
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from marketing_pipelines import jobs_file, policies
from marketing_pipelines.domains.delivery import contents
from marketing_pipelines.domains.delivery.messages_of import messages_of
from marketing_pipelines.domains.upkeep.removal import note_full_tables, remove
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.runs.tables import alerts  # noqa: F401  declares what incidents write
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.ownership import Keep, ownership
from marketing_pipelines.stores.retention_rules import RetentionRule, require_known, rules
from marketing_pipelines.stores.tables import load_tables
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import SOAK

OLD_ROWS = "upkeep/old_rows"
NOW = dt.datetime(2026, 3, 1, 1, 15, tzinfo=dt.UTC)
DAY, MOMENT = dt.timedelta(days=1), dt.timedelta(microseconds=1)
TABLES = load_tables().tables


@pytest.fixture
def site(emptied: Installation) -> Iterator[Installation]:
    emptied.execute(
        "insert into crm.organizations (external_id, name, timezone) values ('acme', 'Acme', 'UTC')"
    )
    yield emptied
    write_jobs("")


def write_jobs(text: str) -> Path:
    """Writes `jobs.toml` as a process that starts now would read it."""
    path = get_settings().jobs_file
    path.write_text(text)
    jobs_file.document.cache_clear()
    policies._read.cache_clear()
    return path


def report_at(site: Installation, *instants: dt.datetime) -> None:
    for at in instants:
        site.execute("insert into ops.health_reports (at, status) values (:at, 'healthy')", at=at)


def reports(site: Installation) -> list[dt.datetime]:
    return [at for (at,) in site.rows("select at from ops.health_reports order by at")]


def old_rows(site: Installation, at: dt.datetime) -> Any:
    [outcome] = site.run(OLD_ROWS, at=at)
    assert outcome.status == "COMPLETED", outcome.error
    return outcome


def rule_of(site: Installation, table: str) -> tuple[Any, ...]:
    """Days, first tick, latest tick, old rows at the first, rows removed since."""
    [row] = site.rows(
        "select days, first_tick, last_tick, old_rows, removed_rows from ops.retention"
        " where table_name = :name",
        name=table,
    )
    return row


def metadata_of(site: Installation, job: str) -> dict[str, Any]:
    """The metadata of the latest run of a job in Dagster."""
    event = site.instance.get_latest_materialization_event(dg.AssetKey(job.split("/")))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: one.value for name, one in event.asset_materialization.metadata.items()}


def test_the_first_tick_counts_and_the_second_removes_what_was_old_at_it(
    site: Installation,
) -> None:
    edge = NOW + DAY - 90 * DAY
    report_at(site, edge - DAY - MOMENT, edge - MOMENT, edge, NOW)
    assert old_rows(site, NOW).rows == 0
    assert metadata_of(site, OLD_ROWS)["counted"]["ops.health_reports"] == 1
    assert old_rows(site, NOW).rows == 0, "the same tick again only counts"
    assert old_rows(site, NOW + DAY).rows == 2
    assert metadata_of(site, OLD_ROWS)["removed"] == {"ops.health_reports": 2}
    assert reports(site) == [edge, NOW]
    assert old_rows(site, NOW + DAY).rows == 0
    assert rule_of(site, "ops.health_reports") == (90, NOW, NOW + DAY, 1, 2)


def test_a_shorter_rule_counts_anew_and_a_longer_one_does_not(site: Installation) -> None:
    report_at(site, NOW - 95 * DAY, NOW - 45 * DAY, NOW - 15 * DAY)
    old_rows(site, NOW - DAY)
    write_jobs('[retention]\n"ops.health_reports" = 40\n')
    assert old_rows(site, NOW).rows == 0
    assert metadata_of(site, OLD_ROWS)["counted"] == {"ops.health_reports": 2}
    assert rule_of(site, "ops.health_reports")[:4] == (40, NOW, NOW, 2)
    write_jobs('[retention]\n"ops.health_reports" = 50\n')
    assert old_rows(site, NOW + DAY).rows == 1
    assert reports(site) == [NOW - 45 * DAY, NOW - 15 * DAY]


def test_a_table_that_was_kept_for_ever_is_counted_again_before_its_rows_go(
    site: Installation,
) -> None:
    report_at(site, NOW - 95 * DAY)
    old_rows(site, NOW - 2 * DAY)
    write_jobs('[retention]\n"ops.health_reports" = 0\n')
    assert old_rows(site, NOW - DAY).rows == 0
    write_jobs("")
    assert old_rows(site, NOW).rows == 0
    assert rule_of(site, "ops.health_reports") == (90, NOW, NOW, 1, 0)
    assert old_rows(site, NOW + DAY).rows == 1


@pytest.mark.parametrize("text", ["dry_run = true", '"ops.health_reports" = 0'])
def test_nothing_goes_in_a_dry_run_or_from_a_table_that_is_kept_for_ever(
    site: Installation, text: str
) -> None:
    report_at(site, NOW - 95 * DAY)
    write_jobs(f"[retention]\n{text}\n")
    for days in range(3):
        assert old_rows(site, NOW + days * DAY).rows == 0
    assert len(reports(site)) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('"ops.healthreports" = 40', "line 2 cannot be used: 'ops.healthreports' is none of the"),
        ('"crm.contacts" = 40', "line 2 cannot be used: 'crm.contacts' is none of the tables"),
        ('"ops.health_reports" = -1', "ops.health_reports must be a number of days from 0"),
        ('"ops.health_reports" = true', "ops.health_reports must be a number of days from 0"),
        ("ops.health_reports = 40", 'write a table in quotes, as in "ops.health_reports" = 90'),
        ('dry_run = "yes"', "dry_run: Input should be a valid boolean"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_with_its_line(
    site: Installation, text: str, sentence: str
) -> None:
    path = write_jobs(f"[retention]\n{text}\n")
    with pytest.raises(ConfigurationError) as refused:
        require_known()
    assert str(refused.value).startswith(f"{path} line ")
    assert sentence in str(refused.value)


def test_a_table_that_is_locked_fails_by_itself(site: Installation) -> None:
    report_at(site, NOW - 95 * DAY)
    site.execute(
        "insert into ops.metric_samples (at, metric, labels, value) values (:at, 'm', '', 1)",
        at=NOW - 500 * DAY,
    )
    old_rows(site, NOW - DAY)
    with site.engine.connect() as other:
        other.exec_driver_sql("lock table ops.health_reports in share row exclusive mode")
        assert old_rows(site, NOW).rows == 1
        other.rollback()
    [(item, error)] = site.rows("select item, error from ops.item_failures")
    assert item == "ops.health_reports"
    assert "lock timeout" in error
    assert old_rows(site, NOW).rows == 1


def test_rows_that_another_transaction_has_locked_stay_and_nobody_waits(
    site: Installation,
) -> None:
    report_at(site, NOW - 95 * DAY, NOW - 94 * DAY)
    old_rows(site, NOW - DAY)
    with site.engine.connect() as other:
        other.exec_driver_sql("select 1 from ops.health_reports order by at limit 1 for update")
        assert old_rows(site, NOW).rows == 1
        other.rollback()
    assert reports(site) == [NOW - 95 * DAY]
    assert old_rows(site, NOW).rows == 1


def test_a_delete_that_takes_a_second_is_tried_with_fewer_rows(site: Installation) -> None:
    report_at(site, *[NOW - 95 * DAY - number * MOMENT for number in range(3)])
    site.execute(
        "create function pg_temp_slow() returns trigger language plpgsql as"
        " $$ begin perform pg_sleep(0.4); return old; end $$"
    )
    site.execute(
        "create trigger slow before delete on ops.health_reports"
        " for each row execute function pg_temp_slow()"
    )
    try:
        rule = RetentionRule(TABLES["ops.health_reports"], Keep("at", 90), 90)
        instants = iter(range(100))
        with pytest.raises(sa.exc.OperationalError, match="statement timeout"):
            remove(site.engine.begin, rule, NOW, NOW.date(), ends_at=99,
                   clock=lambda: float(next(instants)))  # fmt: skip
        assert len(reports(site)) == 3, "a batch goes whole or not at all"
        site.execute(
            "delete from ops.health_reports where at < (select max(at) from ops.health_reports)"
        )
        result = remove(site.engine.begin, rule, NOW, NOW.date(), ends_at=99,
                        clock=lambda: float(next(instants)))  # fmt: skip
        assert (result.rows, result.is_whole) == (1, True)
    finally:
        site.execute("drop trigger slow on ops.health_reports")
        site.execute("drop function pg_temp_slow()")


@pytest.mark.fault(40)
def test_very_many_rows_go_in_batches_and_an_end_of_time_leaves_the_rest(
    site: Installation,
) -> None:
    site.execute(
        "insert into ops.health_reports (at, status)"
        " select cast(:old as timestamptz) - n * interval '1 second', 'healthy'"
        " from generate_series(1, 12345) as n",
        old=NOW - 90 * DAY,
    )
    rule = RetentionRule(TABLES["ops.health_reports"], Keep("at", 90), 90)
    begun: list[int] = []

    def begin() -> Any:
        begun.append(1)
        return site.engine.begin()

    first = remove(begin, rule, NOW, NOW.date(), ends_at=2, clock=lambda: float(len(begun)))
    assert (first.rows, first.is_whole, len(begun)) == (10_000, False, 2)
    rest = remove(begin, rule, NOW, NOW.date(), ends_at=1e9)
    assert (rest.rows, rest.is_whole) == (2_345, True)
    assert reports(site) == []


def test_events_that_a_task_still_has_to_read_stay(site: Installation) -> None:
    site.execute(
        "insert into ops.bus_events (organization_id, type, version, payload, published_at)"
        " select organizations.id, 'trial', 1, '{}', :at"
        " from crm.organizations, generate_series(1, 5)",
        at=NOW - 31 * DAY,
    )
    ids = [number for (number,) in site.rows("select id from ops.bus_events order by id")]
    site.execute(
        "insert into procrastinate_jobs (queue_name, task_name, args) values"
        " ('q', 'bulk', jsonb_build_object('event_ids', jsonb_build_array(:one, :two))),"
        " ('q', 'one', jsonb_build_object('event_id', :three))",
        one=ids[0], two=ids[1], three=ids[2],
    )  # fmt: skip
    site.execute(
        "insert into ops.dead_letters (task_id, queue, task, payload, priority, error, attempts,"
        " first_failed_at, last_failed_at) values (7, 'q', 'one',"
        " jsonb_build_object('event_id', :four), 0, 'x', 1, :at, :at)",
        four=ids[3], at=NOW,
    )  # fmt: skip
    old_rows(site, NOW - DAY)
    assert old_rows(site, NOW).rows == 1
    assert [n for (n,) in site.rows("select id from ops.bus_events order by id")] == ids[:4]


def test_results_of_steps_count_from_the_end_of_their_enrolment(site: Installation) -> None:
    long_ago = NOW - 500 * DAY
    site.execute(
        "insert into journey.journeys (organization_id, external_id, name)"
        " select id, 'j', 'J' from crm.organizations"
    )
    site.execute(
        "insert into crm.contacts (organization_id, external_id)"
        " select id, 'c' || n from crm.organizations, generate_series(1, 3) as n"
    )
    site.execute(
        "insert into lifecycle.enrolments (organization_id, program_kind, program_id, contact_id,"
        " status, entered_at, next_step_at, completed_at)"
        " select organization_id, 'journey',"
        " (select id from journey.journeys), id,"
        " case external_id when 'c1' then 'active' else 'completed' end, :ago, :ago,"
        " case external_id when 'c2' then cast(:late as timestamptz)"
        " when 'c3' then cast(:ago as timestamptz) end from crm.contacts",
        ago=long_ago, late=NOW - 399 * DAY,
    )  # fmt: skip
    site.execute(
        "insert into lifecycle.step_results (enrolment_id, step_id, outcome, at)"
        " select id, 1, 'done', :ago from lifecycle.enrolments",
        ago=long_ago,
    )
    old_rows(site, NOW - DAY)
    assert old_rows(site, NOW).rows == 1
    assert site.rows(
        "select contact.external_id from lifecycle.step_results as result"
        " join lifecycle.enrolments as enrolment on enrolment.id = result.enrolment_id"
        " join crm.contacts as contact on contact.id = enrolment.contact_id order by 1"
    ) == [("c1",), ("c2",)]


def test_every_condition_of_a_rule_is_sql_that_the_database_takes(site: Installation) -> None:
    with site.engine.connect() as connection:
        for rule in rules():
            old = rule.old_at(NOW, NOW.date())
            count = sa.select(sa.func.count()).select_from(rule.table).where(old)
            assert connection.execute(count).scalar_one() >= 0


def test_the_column_of_every_rule_leads_an_index() -> None:
    for rule in rules():
        leading = {next(iter(index.columns)).name for index in rule.table.indexes}
        leading |= {column.name for column in list(rule.table.primary_key.columns)[:1]}
        assert rule.keep.column in leading, rule.name


def test_running_sessions_and_the_totals_of_removed_ones_stay(site: Installation) -> None:
    for status, number in (("RUNNING", 1), ("COMPLETED", 2)):
        site.execute(
            "insert into ops.job_sessions (job, trigger, tick, status, started_at, ended_at)"
            " select 'trial/job', 'schedule', :at, 'RUNNING', :at, null"
            " from generate_series(1, :number)",
            at=NOW - 91 * DAY, number=number,
        )  # fmt: skip
        if status == "COMPLETED":
            site.execute(
                "update ops.job_sessions set status = 'COMPLETED', ended_at = started_at,"
                " duration_ms = 5 where id in (select id from ops.job_sessions"
                " where job = 'trial/job' order by id desc limit 2)"
            )
    totals = "select status, runs from ops.job_totals where job = 'trial/job' order by 1"
    before = site.rows(totals)
    [rule] = rules("upkeep/job_sessions")
    assert remove(site.engine.begin, rule, NOW, NOW.date(), ends_at=1e9).rows == 2
    assert site.rows("select status from ops.job_sessions where job = 'trial/job'") == [
        ("RUNNING",)
    ]
    assert site.rows(totals) == before != []


def test_sign_ins_that_expired_go_at_once(site: Installation) -> None:
    site.execute("insert into ops.tokens (name, scopes, secret_hash) values ('t', '{read}', 'x')")
    site.execute(
        "insert into ops.user_sessions (token_id, created_at, last_seen_at, expires_at)"
        " select id, :at, :at, :at + n * interval '1 second'"
        " from ops.tokens, generate_series(-1, 1) as n",
        at=NOW,
    )
    [outcome] = site.run("upkeep/expired_sessions", at=NOW)
    assert outcome.rows == 1
    assert site.rows("select count(*) from ops.user_sessions") == [(2,)]


def test_a_table_that_its_readers_leave_full_alerts_once_and_recovers(site: Installation) -> None:
    open_incidents = "select subject from ops.incidents where recovered_at is null"
    site.execute(
        "insert into segments.touched_contacts (organization_id)"
        " select id from crm.organizations, generate_series(1, 3)"
    )
    for most, subjects in ((4, []), (3, ["unread segments.touched_contacts"]), (4, [])):
        with site.engine.begin() as connection:
            note_full_tables(connection, most)
        assert [subject for (subject,) in site.rows(open_incidents)] == subjects


def test_a_table_without_a_rule_stays_for_ever_by_declaration() -> None:
    kept = [name for name, table in TABLES.items() if isinstance(ownership(table).keep, Keep)]
    assert {rule.name for rule in rules()} == set(kept)
    assert not {"crm.contacts", "delivery.messages", "lifecycle.enrolments"} & set(kept)


@pytest.mark.fault(40)
@pytest.mark.soak
def test_a_writer_of_the_same_table_never_waits_for_the_removal(site: Installation) -> None:
    number = 10_000_000 if SOAK else 100_000
    site.execute(
        "insert into ops.metric_samples (at, metric, labels, value)"
        " select cast(:old as timestamptz) - n * interval '1 second', 'old', '', 1"
        " from generate_series(1, :number) as n",
        old=NOW - 400 * DAY, number=number,
    )  # fmt: skip
    [rule] = [one for one in rules() if one.name == "ops.metric_samples"]
    old_rows(site, NOW - DAY)
    assert rule_of(site, rule.name)[3] == number - DAY.total_seconds()
    is_over = threading.Event()
    slowest, waited = [0.0], [0.0]

    def write() -> None:
        with site.engine.connect() as connection:
            for place in itertools.count():
                begun = time.monotonic()
                connection.execute(
                    sa.text("insert into ops.metric_samples values (:at, 'new', '', 1)"),
                    {"at": NOW + place * MOMENT},
                )
                connection.commit()
                slowest[0] = max(slowest[0], time.monotonic() - begun)
                if is_over.wait(0.01):
                    return

    def watch() -> None:
        with site.engine.connect() as connection:
            while not is_over.wait(0.05):
                longest = connection.execute(
                    sa.text(
                        "select extract(epoch from clock_timestamp() - min(waitstart))"
                        " from pg_locks where database = (select oid from pg_database"
                        " where datname = current_database())"
                    )
                ).scalar()
                connection.rollback()
                waited[0] = max(waited[0], float(longest or 0))

    threads = [threading.Thread(target=write), threading.Thread(target=watch)]
    for thread in threads:
        thread.start()
    try:
        assert old_rows(site, NOW).rows == number
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    print(f"{number:,} rows: slowest insert {slowest[0]:.3f} s, longest wait {waited[0]:.3f} s")
    assert waited[0] <= 1
    assert slowest[0] <= 1 or not SOAK
    assert site.rows("select distinct metric from ops.metric_samples") == [("new",)]


def test_calls_in_the_audit_log_stay_ninety_days(site: Installation) -> None:
    site.execute("delete from ops.audit_log")
    site.execute(
        "insert into ops.audit_log (asked_at, actor, method, path) values"
        " (:old, 'anna', 'GET', '/admin/queues'), (:young, 'anna', 'GET', '/admin/sessions')",
        old=NOW + DAY - 90 * DAY - MOMENT, young=NOW + DAY - 90 * DAY,
    )  # fmt: skip
    for days, removed in ((0, 0), (1, 1)):
        [outcome] = site.run("upkeep/audit_logs", at=NOW + days * DAY)
        assert outcome.rows == removed
    assert site.rows("select path from ops.audit_log") == [("/admin/sessions",)]


def test_bodies_of_messages_go_half_a_year_after_their_latest_use(site: Installation) -> None:
    organization = site.rows("select id from crm.organizations")[0][0]
    numbers = {}
    with site.engine.begin() as connection:
        for name in ("old", "waiting", "again"):
            content = {"subject": name, "text": "Hello"}
            numbers |= contents.store(connection, {name: (organization, content)})
    site.execute("update delivery.contents set used_at = :at", at=NOW - 181 * DAY)
    site.execute(
        "insert into crm.contacts (organization_id, external_id, email)"
        " select id, 'c', 'c@example.org' from crm.organizations"
    )
    for name, state in (("old", "sent"), ("waiting", "queued")):
        site.execute(
            "insert into delivery.messages (organization_id, channel, contact_id, content_id,"
            " state, due_at, queued_at) select organization_id, 'email', id, :content, :state,"
            " :at, :at from crm.contacts",
            content=numbers[name], state=state, at=NOW - 181 * DAY,
        )  # fmt: skip
    with site.engine.begin() as connection:
        again = {"subject": "again", "text": "Hello"}
        assert contents.store(connection, {0: (organization, again)}) == {0: numbers["again"]}
    old_rows(site, NOW - DAY)
    assert old_rows(site, NOW).rows == 1
    left = site.rows("select content ->> 'subject' from delivery.contents order by 1")
    assert left == [("again",), ("waiting",)]
    assert site.rows("select count(*) from delivery.messages") == [(2,)]
    with site.engine.begin() as connection:
        found = messages_of(connection, "c", "acme")
        assert [message.subject for message in found] == ["waiting", None]
