"""Generated activity: exact numbers, the order of the funnel, the odd rows, bounded memory."""

import csv
import datetime as dt
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketing_pipelines.demo.activity import Activity
from marketing_pipelines.demo.generated import generate_batches, write_files
from marketing_pipelines.demo.rhythm import DAY, HOUR, DemoPeriod, Rhythm, delays, micros
from marketing_pipelines.demo.world import build_world
from marketing_pipelines.failures import BadInputError
from marketing_pipelines_tests.scale import SOAK

EVENTS = 210_000
UNTIL = dt.datetime(2026, 3, 31, 12, 34, 56, tzinfo=dt.UTC)
BEGIN = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
KNOWN_TYPES = {
    *("sent", "delivered", "opened", "clicked", "bounced", "complained", "unsubscribed"),
    *("replied", "page_view", "form_submission", "demo_request", "converted", "purchase"),
}

Connection = duckdb.DuckDBPyConnection


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("generated") / "made"
    return dict(write_files(folder, events=EVENTS, until=UNTIL))


@pytest.fixture(scope="module")
def written(files: dict[str, Path]) -> Iterator[Connection]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for kind, path in files.items():
            reader = connection.read_parquet if path.suffix == ".parquet" else connection.read_csv
            reader(str(path)).create_view(kind)
        connection.execute("create table rows as select * from events")
        yield connection


def rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def one(connection: Connection, query: str) -> Any:
    return rows(connection, query)[0][0]


def fingerprint(paths: dict[str, Path]) -> dict[str, str]:
    return {kind: hashlib.sha256(path.read_bytes()).hexdigest() for kind, path in paths.items()}


@pytest.mark.parametrize("events", [0, 1, 2, 499, 500, 1_000, 200_000, 200_001, 450_123])
def test_exactly_as_many_rows_as_asked_for(events: int) -> None:
    batches = generate_batches(events=events, until=UNTIL)
    assert sum(batch.num_rows for batch in batches) == events


@pytest.mark.parametrize(("days", "organizations"), [(1, 1), (1, 40), (400, 3)])
def test_any_period_and_any_number_of_organizations_will_do(days: int, organizations: int) -> None:
    start = dt.date(2026, 2, 28)
    made = generate_batches(events=20_000, start=start, days=days, organizations=organizations)
    table = pa.Table.from_batches(list(made))
    begin = dt.datetime(2026, 2, 28, tzinfo=dt.UTC)
    occurred = table["occurred_at"].to_numpy().astype(np.int64)
    assert len(set(table["organization_id"].to_pylist())) == organizations
    assert occurred.min() >= micros(begin)
    assert occurred.max() < micros(begin) + days * DAY


def test_files_come_in_the_order_in_which_they_refer_to_each_other(files: dict[str, Path]) -> None:
    assert list(files) == [
        *("organizations", "users", "companies", "contacts"),
        *("campaigns", "campaign_contacts", "events", "segments"),
    ]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_activity(
    files: dict[str, Path], tmp_path: Path
) -> None:
    again = dict(write_files(tmp_path / "again", events=EVENTS, until=UNTIL))
    other = dict(write_files(tmp_path / "other", events=EVENTS, until=UNTIL, seed=8))
    assert fingerprint(again) == fingerprint(files)
    assert fingerprint(other)["events"] != fingerprint(files)["events"]


def test_batches_are_the_rows_of_the_file_in_the_columns_of_the_format(
    files: dict[str, Path],
) -> None:
    table = pa.Table.from_batches(list(generate_batches(events=EVENTS, until=UNTIL)))
    assert table.equals(pq.read_table(files["events"]))
    instant = pa.timestamp("us", tz="UTC")
    assert [(field.name, field.type) for field in table.schema] == [
        ("event_id", pa.string()),
        ("organization_id", pa.string()),
        ("contact_id", pa.string()),
        ("event_type", pa.string()),
        ("event_source", pa.string()),
        ("occurred_at", instant),
        ("received_at", instant),
        ("properties", pa.string()),
    ]


def test_ids_are_compact_and_carry_seed_and_organization(written: Connection) -> None:
    pattern = "regexp_full_match"
    assert rows(
        written,
        f"""
        select count(*) from rows
        where not {pattern}(event_id, 'g7-[0-9]{{9}}')
           or not {pattern}(contact_id, organization_id || '-c[0-9]{{6}}')
        """,
    ) == [(0,)]


def test_every_known_type_occurs_and_only_two_unknown_ones(written: Connection) -> None:
    types = {event_type for (event_type,) in rows(written, "select distinct event_type from rows")}
    assert types - KNOWN_TYPES == {"video_watched", "größe_gewählt"}
    assert types >= KNOWN_TYPES


@pytest.mark.parametrize(
    ("effect", "cause"),
    [
        ("delivered", "sent"),
        ("bounced", "sent"),
        ("opened", "delivered"),
        ("complained", "delivered"),
        ("clicked", "opened"),
        ("replied", "opened"),
        ("unsubscribed", "opened"),
        ("page_view", "clicked"),
        ("form_submission", "page_view"),
        ("demo_request", "form_submission"),
        ("purchase", "page_view"),
        ("converted", "page_view"),
    ],
)
def test_no_effect_without_an_earlier_cause_of_the_same_contact_and_campaign(
    written: Connection, effect: str, cause: str
) -> None:
    first = """
        select contact_id, event_source, min(occurred_at) as at from rows
        where event_type = '{}' and event_source is not null and event_source <> 'archive-2019'
        group by all
    """
    effects, orphans = rows(
        written,
        f"""
        select count(*), count(*) filter (cause.at is null or cause.at >= effect.at)
        from ({first.format(effect)}) effect
        left join ({first.format(cause)}) cause using (contact_id, event_source)
        """,
    )[0]
    assert effects > 0
    assert orphans == 0


def test_rates_of_the_funnel_are_believable(written: Connection) -> None:
    counts: dict[str, int] = dict(
        rows(
            written,
            """
            select event_type, count(*) from rows
            where event_source is not null group by 1
            """,
        )
    )
    assert 0.95 < counts["delivered"] / counts["sent"] < 0.985
    assert 0.015 < counts["bounced"] / counts["sent"] < 0.03
    assert 0.4 < counts["opened"] / counts["delivered"] < 0.65
    assert 0.03 < counts["clicked"] / counts["delivered"] < 0.09


def test_nothing_is_sent_after_an_unsubscription_a_complaint_or_a_hard_bounce(
    written: Connection,
) -> None:
    stopped, sent_after = rows(
        written,
        """
        with stops as (
            select contact_id, min(occurred_at) as since from rows
            where event_type in ('unsubscribed', 'complained')
               or (event_type = 'bounced' and (properties->>'bounce_type') = 'hard')
            group by 1
        )
        select count(distinct contact_id),
               count(*) filter (event_type = 'sent' and occurred_at > since)
        from rows join stops using (contact_id)
        """,
    )[0]
    assert stopped > 300
    assert sent_after == 0


def test_machine_opens_follow_delivery_within_a_minute(written: Connection) -> None:
    machine, prompt, all_opens = rows(
        written,
        """
        with delivered as (
            select contact_id, event_source, list(occurred_at) as instants from rows
            where event_type = 'delivered' group by all
        )
        select count(*) filter (machine),
               count(*) filter (machine and len(list_filter(instants, lambda arrival:
                   arrival < occurred_at and occurred_at <= arrival + interval 60 second)) > 0),
               count(*)
        from (select *, coalesce((properties->'$.machine_open')::boolean, false) as machine
              from rows where event_type = 'opened')
        join delivered using (contact_id, event_source)
        """,
    )[0]
    assert 0.2 < machine / all_opens < 0.5
    assert prompt == machine


def test_bounces_are_hard_or_soft(written: Connection) -> None:
    kinds = rows(
        written,
        """
        select properties->>'bounce_type', count(*) > 100 from rows
        where event_type = 'bounced' group by 1 order by 1
        """,
    )
    assert kinds == [("hard", True), ("soft", True)]


def test_properties_are_json_objects_with_letters_of_all_kinds(written: Connection) -> None:
    distinct = rows(written, "select distinct properties from rows where properties is not null")
    assert all(isinstance(json.loads(text), dict) for (text,) in distinct)
    assert any("商品" in text for (text,) in distinct)
    assert any("🎉" in text for (text,) in distinct)


def test_one_event_in_five_hundred_comes_twice_and_says_the_same_twice(written: Connection) -> None:
    surplus = EVENTS - one(written, "select count(distinct event_id) from rows")
    assert surplus == EVENTS // 500
    repeated, different, received_again = rows(
        written,
        """
        select count(*), count(*) filter (contents > 1), count(*) filter (receipts > 1)
        from (select event_id,
                     count(distinct (organization_id, contact_id, event_type, event_source,
                                     occurred_at, properties)) as contents,
                     count(distinct received_at) as receipts
              from rows group by 1 having count(*) > 1)
        """,
    )[0]
    assert different == 0
    assert 0.3 < received_again / repeated < 0.7


def test_a_repetition_later_in_the_file_may_have_been_received_earlier(
    files: dict[str, Path], written: Connection
) -> None:
    swapped = one(
        written,
        f"""
        select count(*) from (
            select arg_max(received_at, file_row_number) < arg_min(received_at, file_row_number)
                as swapped
            from read_parquet('{files["events"]}', file_row_number = true)
            group by event_id having count(*) > 1
        ) where swapped
        """,
    )
    assert swapped > 10


def test_some_events_are_hours_to_weeks_late_and_none_arrives_after_the_end(
    written: Connection,
) -> None:
    late, very_late, last = rows(
        written,
        """
        select count(*) filter (received_at - occurred_at > interval 1 hour),
               count(*) filter (received_at - occurred_at > interval 14 day),
               max(received_at)
        from rows
        """,
    )[0]
    assert 0.003 < late / EVENTS < 0.008
    assert very_late > 5
    assert last <= UNTIL


def test_in_a_long_period_lateness_goes_up_to_thirty_five_days() -> None:
    made = generate_batches(events=200_000, start=dt.date(2026, 1, 1), days=90)
    table = pa.Table.from_batches(list(made))
    received, occurred = (
        table[name].to_numpy().astype(np.int64) for name in ("received_at", "occurred_at")
    )
    assert 30 * DAY < (received - occurred).max() <= 35 * DAY


def test_some_events_were_received_before_they_occurred(written: Connection) -> None:
    early = one(written, "select count(*) from rows where received_at < occurred_at")
    assert 50 < early < EVENTS // 500


def test_some_events_name_a_campaign_that_no_file_has(written: Connection) -> None:
    unknown = rows(
        written,
        """
        select event_source, count(*) > 20 from rows
        where event_source not in (select external_id from campaigns) group by 1
        """,
    )
    assert unknown == [("archive-2019", True)]


def test_the_first_and_last_instants_of_every_day_have_events(written: Connection) -> None:
    near_midnight = (
        "select distinct occurred_at from rows"
        " where cast(timezone('UTC', occurred_at) as time)"
        " not between time '00:00:01' and time '23:59:59'"
    )
    instants = {instant.astimezone(dt.UTC) for (instant,) in rows(written, near_midnight)}
    midnights = [dt.datetime(2026, 3, day, tzinfo=dt.UTC) for day in range(2, 32)]
    assert set(midnights) <= instants
    assert {midnight - dt.timedelta(microseconds=1) for midnight in midnights} <= instants


@pytest.mark.parametrize("events", [1_000, 10_000])
def test_a_few_events_have_the_odd_ones_too(events: int) -> None:
    table = pa.Table.from_batches(list(generate_batches(events=events, until=UNTIL)))
    occurred = table["occurred_at"].to_numpy().astype(np.int64)
    received = table["received_at"].to_numpy().astype(np.int64)
    assert (occurred > received).any()
    assert (occurred % DAY == 0).any()
    assert (occurred % DAY == DAY - 1).any()
    assert "archive-2019" in table["event_source"].to_pylist()
    assert "video_watched" in table["event_type"].to_pylist()


def test_rows_stand_in_order_of_arrival_but_for_repetitions(
    files: dict[str, Path], written: Connection
) -> None:
    backwards = one(
        written,
        f"""
        select count(*) from (
            select received_at < max(received_at) over (
                order by file_row_number rows between unbounded preceding and 1 preceding
            ) as earlier
            from read_parquet('{files["events"]}', file_row_number = true)
        ) where earlier
        """,
    )
    assert 0 < backwards < 2 * (EVENTS // 500)


@pytest.mark.soak
def test_a_full_pool_changes_the_order_and_nothing_else() -> None:
    period = DemoPeriod(micros(BEGIN), micros(UNTIL))
    asked = 900_000 if SOAK else 300_000

    def numbers(pool_events: int) -> list[int]:
        activity = Activity(build_world(period, asked, 4), asked, 7, pool_events=pool_events)
        made = [events.number for events in activity.in_order_of_arrival()]
        return [int(number) for number in np.concatenate(made)]

    roomy, cramped = numbers(2_000_000), numbers(100)
    assert roomy != cramped
    assert sorted(roomy) == sorted(cramped)


def test_organizations_differ_in_size_by_more_than_ten(written: Connection) -> None:
    counts = [
        count
        for (count,) in rows(
            written, "select count(*) from rows group by organization_id order by 1"
        )
    ]
    assert len(counts) == 8
    assert counts[-1] > 10 * counts[0]


def test_visits_follow_day_and_night_of_the_organizations_zone(written: Connection) -> None:
    by_zone = rows(
        written,
        """
        with visits as (
            select timezone, hour(timezone(timezone, occurred_at)) as hour
            from rows join organizations on external_id = organization_id
            where event_source is null
        )
        select timezone, count(*) filter (hour between 1 and 4),
               count(*) filter (hour between 10 and 13)
        from visits group by 1
        """,
    )
    assert len(by_zone) == 8
    assert all(day > 4 * night for _, night, day in by_zone)


def test_weekends_are_quieter(written: Connection) -> None:
    weekend, week = rows(
        written,
        """
        select count(*) filter (isodow(occurred_at) >= 6) / 9.0,
               count(*) filter (isodow(occurred_at) < 6) / 22.0
        from rows where occurred_at >= '2026-03-01'
        """,
    )[0]
    assert weekend < 0.6 * week


def test_each_organization_has_campaigns_in_every_state(written: Connection) -> None:
    states = rows(
        written,
        """
        select status, count(*), count(started_at), count(completed_at), count(cancelled_at)
        from campaigns group by 1 order by 1
        """,
    )
    assert states == [
        ("active", 32, 32, 0, 0),
        ("cancelled", 8, 8, 0, 8),
        ("completed", 16, 16, 16, 0),
        ("draft", 8, 0, 0, 0),
    ]


def test_one_running_campaign_of_each_organization_has_sent_nothing(written: Connection) -> None:
    silent = rows(
        written,
        """
        select external_id from campaigns
        where status = 'active'
          and external_id not in (select event_source from rows where event_source is not null)
        order by 1
        """,
    )
    assert silent == [(f"o{number}-partners",) for number in range(1, 9)]


def test_mail_goes_to_enrolled_contacts_between_their_entry_and_their_end(
    written: Connection,
) -> None:
    sent, enrolled, fitting = rows(
        written,
        """
        select count(*), count(e.contact_id),
               count(*) filter (
                   occurred_at >= entered_at
                   and occurred_at < coalesce(try_cast(completed_at as timestamptz),
                                              try_cast(exited_at as timestamptz)
                                                  + interval 1 second,
                                              'infinity'))
        from rows r left join campaign_contacts e
            on e.campaign_id = r.event_source and e.contact_id = r.contact_id
        where event_type = 'sent'
        """,
    )[0]
    assert sent == enrolled == fitting > 50_000


def test_an_enrolment_says_how_it_ended_and_is_there_once(written: Connection) -> None:
    states = rows(
        written,
        """
        select status, count(*) = count(distinct (campaign_id, contact_id)),
               count(completed_at) = count(*), count(exited_at) = count(*),
               count(completed_at) + count(exited_at) = 0
        from campaign_contacts group by 1 order by 1
        """,
    )
    assert states == [
        ("active", True, False, False, True),
        ("completed", True, True, False, False),
        ("exited", True, False, True, False),
    ]


def test_contacts_refer_to_companies_and_owners_of_the_files(files: dict[str, Path]) -> None:
    read = {}
    for kind in ("users", "companies", "contacts"):
        with files[kind].open(newline="", encoding="utf-8") as file:
            read[kind] = list(csv.DictReader(file))
    users = {(user["organization_id"], user["external_id"]) for user in read["users"]}
    companies = {(row["organization_id"], row["external_id"]) for row in read["companies"]}
    contacts = read["contacts"]
    assert {(row["organization_id"], row["owner_id"]) for row in contacts} <= users
    assert {(row["organization_id"], row["company_id"]) for row in contacts} <= companies
    addresses = [row["email"] for row in contacts if row["email"]]
    assert len(set(addresses)) == len(addresses)
    assert 0.97 < len(addresses) / len(contacts) < 0.99
    assert {json.dumps(json.loads(row["interests"])) for row in contacts if row["interests"]} == {
        *('["outdoor"]', '["garden", "books"]', '["cycling", "travel", "food"]', "[]")
    }


def test_contacts_of_events_are_in_the_contacts_file_and_without_address_get_no_mail(
    written: Connection,
) -> None:
    strangers, addressless = rows(
        written,
        """
        select count(*) filter (external_id is null),
               count(*) filter (external_id is not null and email is null and event_type = 'sent')
        from rows left join contacts on external_id = contact_id
        """,
    )[0]
    assert (strangers, addressless) == (0, 0)


def test_every_organization_has_an_admin(files: dict[str, Path]) -> None:
    with files["users"].open(newline="", encoding="utf-8") as file:
        admins = [row["organization_id"] for row in csv.DictReader(file) if row["role"] == "admin"]
    assert admins == [f"o{number}" for number in range(1, 9)]


@pytest.mark.soak
def test_memory_does_not_grow_with_the_number_of_events() -> None:
    script = """
import datetime as dt, psutil
from marketing_pipelines.demo.generated import generate_batches
def peak(events):
    batches = generate_batches(events=events, start=dt.date(2026, 3, 1))
    return max(psutil.Process().memory_info().rss for batch in batches) // 2**20
print(peak(300_000), peak(LARGE))
"""
    script = script.replace("LARGE", "2_000_000" if SOAK else "1_000_000")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    small, large = (int(megabytes) for megabytes in done.stdout.split())
    assert large < 350
    assert large - small < 100


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"events": -1, "until": UNTIL}, "events is -1"),
        ({"events": 1, "until": UNTIL, "seed": -1}, "seed is -1"),
        ({"events": 1, "until": UNTIL, "days": 0}, "days is 0"),
        ({"events": 1, "until": UNTIL, "organizations": 0}, "organizations is 0"),
        ({"events": 1}, "either start or until"),
        ({"events": 1, "until": UNTIL, "start": dt.date(2026, 1, 1)}, "either start or until"),
        ({"events": 1, "until": dt.datetime(2026, 3, 1)}, "without a zone"),
    ],
)
def test_an_argument_that_cannot_be_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInputError, match=named):
        generate_batches(**arguments)


def test_instants_fall_only_into_hours_with_weight() -> None:
    period = DemoPeriod(0, 4 * HOUR + 7)
    weights = np.array([[0, 0], [3, 1], [0, 0], [0, 2], [0, 0]], dtype=np.float64)
    at, choice = Rhythm(period, weights).draw(np.random.default_rng(1), 6_000, 0, period.end)
    hours = at // HOUR
    assert set(hours.tolist()) == {1, 3}
    assert set(choice[hours == 3].tolist()) == {1}
    assert 0.7 < (choice[hours == 1] == 0).mean() < 0.8
    assert 0.63 < (hours == 1).mean() < 0.7


def test_delays_keep_to_their_quantiles() -> None:
    drawn = delays(np.random.default_rng(1), 20_000, ((0, 1), (0.5, 10), (1, 100)))
    assert drawn.min() >= 1_000_000
    assert drawn.max() <= 100_000_000
    assert 0.48 < (drawn <= 10_000_000).mean() < 0.52
