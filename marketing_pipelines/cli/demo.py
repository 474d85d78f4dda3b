"""`demo`: real or generated events, from files to aggregates, and what to look at next."""

import datetime as dt
import sys
from pathlib import Path
from typing import Annotated, Literal

import sqlalchemy as sa
import typer

from marketing_pipelines.cli.load import progress_bar
from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import connected, dagster_instance
from marketing_pipelines.loading import load_file
from marketing_pipelines.settings import Settings

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
)
NEXT = """
What to look at next
  make up
      keeps it running; lineage, backfills and checks on http://127.0.0.1:3000
  {command} timetable
      when every job runs
  {command} query "select * from analytics.campaign_daily_rates where sent > 0 limit 5"
  {command} query "select event_type, count(*) from lake.contact_activity group by 1"
      read-only SQL over the tables and the event lake
  {warehouse}
      every aggregate in one file, for DuckDB
"""


def demo(
    source: Annotated[
        Literal["completejourney", "generated"],
        typer.Option(help="A year of a grocer's campaigns, or made-up e-mail activity."),
    ] = "completejourney",
    events: Annotated[
        int, typer.Option(help="How many events to generate.", min=1)
    ] = GENERATED_EVENTS,
) -> None:
    """Load events, materialise every aggregate, print them, say where to look."""
    from marketing_pipelines.running import run_marked

    with connected() as (settings, engine), dagster_instance() as instance:
        for kind, path in _files(settings, source, events):
            with progress_bar(kind) as on_progress:
                result = load_file(engine, kind, path, settings=settings, on_progress=on_progress)
            print(f"{kind:<18} {result.summary()}")
        for outcome in run_marked(settings=settings, engine=engine, instance=instance):
            print(
                f"{outcome.status.lower():<10} {outcome.job:<32} {outcome.partitions:>6} partitions"
                f" {outcome.rows:>9} rows {outcome.seconds:>7.2f} s"
            )
        for title, statement in SHOWN:
            with engine.connect() as connection:
                answer = connection.execute(sa.text(statement))
                print()
                print_table(list(answer.keys()), answer.all(), title)
        print(NEXT.format(command=sys.argv[0], warehouse=settings.warehouse_path))


def _files(settings: Settings, source: str, events: int) -> list[tuple[str, Path]]:
    """Writes the source's files below the data folder and lists them in loading order."""
    folder = settings.data_dir / "demo" / source
    if source == "completejourney":
        from marketing_pipelines.demo import completejourney

        return completejourney.write_files(folder)
    from marketing_pipelines.demo import generated

    midnight = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return generated.write_files(
        folder, events=events, until=midnight, seed=midnight.date().toordinal()
    )
