"""`demo`: real or generated events, from files to aggregates, and commands to try next."""

import csv
import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import sqlalchemy as sa
import typer

from marketing_pipelines.cli import demo_dates
from marketing_pipelines.cli.load import progress_bar
from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import connected, dagster_instance
from marketing_pipelines.demo import completejourney, generated, programs
from marketing_pipelines.demo.programs import write_programs
from marketing_pipelines.domains.analytics import warehouse
from marketing_pipelines.domains.crm.organization_settings import set_values
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.loading import load_file
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.files import FileStore

if TYPE_CHECKING:
    from marketing_pipelines.running import Outcome

GENERATED_EVENTS = 200_000
SHOWN = (
    (
        "Days (analytics.daily_events)",
        "select date, sum(event_count) as events,"
        " count(distinct event_type) as types, count(distinct organization_id) as organizations"
        " from analytics.daily_events group by date order by date desc limit 5",
    ),
    (
        "Campaigns (analytics.campaign_daily_stats)",
        "select o.external_id as organization, c.name as campaign, sum(s.entered) as entered,"
        " sum(s.completed) as completed, sum(s.sent) as sent, sum(s.opened) as opened,"
        " sum(s.clicked) as clicked"
        " from analytics.campaign_daily_stats s"
        " join analytics.campaigns c on c.id = s.campaign_id"
        " join analytics.organizations o on o.id = s.organization_id"
        " group by 1, 2 order by sent desc, 2 limit 5",
    ),
    (
        "Months (analytics.monthly_usage)",
        "select month, event_type, sum(event_count) as events, sum(unique_contacts) as contacts"
        " from analytics.monthly_usage group by 1, 2 order by month desc, events desc limit 5",
    ),
    (
        "Segments (segments.memberships)",
        "select o.external_id as organization, s.name as segment, count(m.contact_id) as members"
        " from segments.segments s join analytics.organizations o on o.id = s.organization_id"
        " left join segments.memberships m on m.segment_id = s.id and m.left_at is null"
        " group by 1, 2 order by members desc, 1, 2 limit 5",
    ),
    (
        "Programs (lifecycle.program_counts)",
        "select p.kind, p.name as program, c.entered, c.active, c.completed, c.exited, c.failed"
        " from lifecycle.program_counts c"
        " join lifecycle.programs p on p.kind = c.program_kind and p.id = c.program_id"
        " where p.status = 'active' order by c.entered desc, 1, 2 limit 5",
    ),
    (
        "Messages (delivery.messages)",
        "select program_kind, channel, state, count(*) as messages from delivery.messages"
        " group by 1, 2, 3 order by messages desc, 1, 2, 3 limit 5",
    ),
)
# The jobs that schedules and sensors start while `up` runs, in their order.
JOBS = (
    "segments/memberships",
    "journeys/segment_entries",
    "campaigns/step_progress",
    "campaigns/sequence_progress",
    "journeys/step_progress",
    "campaigns/reports",
)
_A_MEMBER = """
    select segment.external_id as segment,
           contact.external_id || ' --organization ' || organization.external_id as contact
    from segments.memberships as membership
    join segments.segments as segment on segment.id = membership.segment_id
    join crm.contacts as contact on contact.id = membership.contact_id
    join crm.organizations as organization on organization.id = contact.organization_id
    where membership.left_at is null
    order by jsonb_array_length(segment.rule -> 'all') desc nulls last, segment.id, contact.id
    limit 1
"""
WHY = """\
  {command} why --segment {segment} --contact {contact}
      each condition of a segment's rule, and the row that decides
  {command} why --campaign win-back --contact {contact}
      where a contact stands in a program, what happened at each step, what comes next
"""
NEXT = """
What to look at next
  {command} up
      keeps it running; lineage, backfills and checks on http://127.0.0.1:3000
  {command} timetable
      when every job runs
  {command} query "select * from analytics.campaign_daily_rates where sent > 0 limit 5"
  {command} query "select event_type, count(*) from lake.contact_activity group by 1"
      read-only SQL over the tables and the event lake
{why}  {reports}
      a page for every campaign, to open in a browser
  {warehouse}
      every aggregate in one file, for DuckDB
"""


def demo(
    source: Annotated[
        Literal["completejourney", "generated"],
        typer.Option(help="A year of a grocer's campaigns, or made-up e-mail activity."),
    ] = "completejourney",
    events: Annotated[
        int, typer.Option(help="Number of events to generate.", min=1)
    ] = GENERATED_EVENTS,
    as_recorded: Annotated[
        bool,
        typer.Option(
            "--as-recorded", help="Keep the recorded dates of 2017; make no opens and clicks."
        ),
    ] = False,
) -> None:
    """Load events, materialise every aggregate, print results and next steps."""
    if as_recorded and source != "completejourney":
        raise typer.BadParameter("--as-recorded goes with --source completejourney only.")
    with connected() as (settings, engine):
        is_moved = True
        if source == "completejourney":
            with engine.connect() as connection:
                until = demo_dates.last_day(
                    connection, settings, dt.datetime.now(dt.UTC), as_recorded=as_recorded
                )
                for sentence in demo_dates.sentences(connection, until, as_recorded=as_recorded):
                    print(sentence)
            is_moved = until is not None
            files = _recorded_files(settings, until)
        else:
            files = _generated_files(settings, events)
        for kind, path in files:
            with progress_bar(kind) as on_progress:
                result = load_file(engine, kind, path, settings=settings, on_progress=on_progress)
            print(f"{kind:<18} {result.summary()}")
            if kind == "organizations" and not as_recorded:
                _mark_as_demo(engine, path)
        with engine.connect() as connection:
            settings = demo_dates.fit_first_day(connection, settings)
        _materialise(settings, engine, up_to_now=is_moved)
        print(f"{_send(engine, settings)} new messages are files in {settings.outbox_folder}")
        _show(settings, engine)


def _mark_as_demo(engine: sa.Engine, path: Path) -> None:
    """Sets `demo` of the loaded organizations, so that `development/test_data` adds activity."""
    with path.open(encoding="utf-8", newline="") as file:
        names = [row["external_id"] for row in csv.DictReader(file)]
    own = sa.select(organizations.c.id).where(organizations.c.external_id.in_(names))
    with engine.begin() as connection:
        for organization_id in connection.execute(own.order_by(organizations.c.id)).scalars().all():
            set_values(connection, organization_id, {"demo": "true"})


def _materialise(settings: Settings, engine: sa.Engine, *, up_to_now: bool) -> None:
    """Runs the jobs that schedules and sensors would start one after the other.

    Args:
        up_to_now: Partitions without events are done too, from the first day to the last tick.
    """
    from marketing_pipelines.running import Request, mark_all, run_job, run_marked

    with dagster_instance() as instance:
        if up_to_now:
            mark_all(settings=settings, engine=engine)
        for outcome in run_marked(settings=settings, engine=engine, instance=instance):
            print(_line(outcome))
        # The segments are new: of the day in progress there are sizes so far, and none before it.
        today = dt.datetime.now(settings.zone).date().isoformat()
        sizes = Request("segments/daily_sizes", today, today, only=True)
        for request in (*(Request(job, only=True) for job in JOBS), sizes):
            for outcome in run_job(request, settings=settings, engine=engine, instance=instance):
                print(_line(outcome))


def _show(settings: Settings, engine: sa.Engine) -> None:
    """Prints the tables, and commands to try next."""
    for title, statement in SHOWN:
        with engine.connect() as connection:
            answer = connection.execute(sa.text(statement))
            print()
            print_table(list(answer.keys()), answer.all(), title)
    with engine.connect() as connection:
        member = connection.execute(sa.text(_A_MEMBER)).first()
    why = WHY.format(command=sys.argv[0], **member._mapping) if member else ""
    print(
        NEXT.format(
            command=sys.argv[0],
            warehouse=FileStore.of_warehouse(settings).place(warehouse.PATH),
            reports=FileStore.of_reports(settings, "campaigns").place("index.html"),
            why=why,
        )
    )


def _send(engine: sa.Engine, settings: Settings) -> int:
    """Sends due messages as a worker does; returns their number."""
    from marketing_pipelines.domains.delivery.sending import send_batch
    from marketing_pipelines.domains.delivery.tasks import SENDERS
    from marketing_pipelines.domains.delivery.transports.outbox import Outbox
    from marketing_pipelines.stores.postgres import committing_each

    outbox, sent = Outbox(settings.outbox_folder), 0
    for channel in SENDERS:
        while True:
            report = send_batch(
                engine.begin,
                channel,
                outbox,
                open_marking=lambda: committing_each(engine),
                clock=lambda: dt.datetime.now(dt.UTC),
            )
            sent += report.sent
            if not report.claimed:
                break
    return sent


def _line(outcome: "Outcome") -> str:
    partitions = "" if outcome.partitions is None else f"{outcome.partitions} partitions"
    return (
        f"{outcome.status.lower():<10} {outcome.job:<32} {partitions:>17}"
        f" {outcome.rows:>9} rows {outcome.seconds:>7.2f} s"
    )


def _recorded_files(settings: Settings, until: dt.date | None) -> list[tuple[str, Path]]:
    """Writes the recorded year below the data folder and lists its files in loading order."""
    folder = settings.data_dir / "demo" / "completejourney"
    entered_at = programs.ENTERED_AT if until is None else f"{until}T09:00:00Z"
    return [
        *completejourney.write_files(folder, until=until),
        *write_programs(
            completejourney.ORGANIZATION, programs.HOUSEHOLDS, folder, entered_at=entered_at
        ),
    ]


def _generated_files(settings: Settings, events: int) -> list[tuple[str, Path]]:
    """Writes generated activity that ends today at midnight, likewise."""
    folder = settings.data_dir / "demo" / "generated"
    midnight = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    files = generated.write_files(
        folder, events=events, until=midnight, seed=midnight.date().toordinal()
    )
    return [*files, *write_programs("o1", programs.READERS, folder)]
