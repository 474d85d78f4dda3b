"""`marketing-pipelines load`: files of events and of business rows into the database."""

import contextlib
import datetime as dt
import functools
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer

from marketing_pipelines.loading import Progress, load_file, loadable
from marketing_pipelines.settings import Settings

MAX_NOTES = 20


def load(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(loadable())}.")],
    file: Annotated[Path, typer.Argument(help="CSV, JSON lines (also .gz) or Parquet.")],
    timezone: Annotated[
        str | None, typer.Option(help="IANA zone of instants without a zone.")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="File for refused rows; FILE.rejects.csv by default.")
    ] = None,
    allow_rejects: Annotated[
        bool, typer.Option("--allow-rejects", help="Exit with 0 even if rows are refused.")
    ] = False,
    restore_consent: Annotated[
        bool,
        typer.Option("--restore-consent", help="Take rows about erased persons: they agreed anew."),
    ] = False,
) -> None:
    """Load a file. Bad rows go to a file of rejects; loading it twice changes nothing."""
    from marketing_pipelines.cli.session import connected

    with connected() as (settings, engine), progress_bar(file.name) as on_progress:
        result = load_file(
            engine,
            kind,
            file,
            settings=settings,
            timezone=timezone,
            rejects=rejects,
            restore_consent=restore_consent,
            on_progress=on_progress,
        )
        notes = _notes(engine, kind, settings)
    typer.echo(result.summary())
    for sentence in [*result.notes, *notes]:
        typer.echo(f"note: {sentence}")
    if result.rejected and not allow_rejects:
        raise typer.Exit(1)


def _notes(engine: sa.Engine, kind: str, settings: Settings) -> list[str]:
    """Returns notes that later files may correct: the first day, names in rules, warm-up."""
    from marketing_pipelines.domains import load_tables
    from marketing_pipelines.domains.delivery.warmup_outlook import notes_on_warmup
    from marketing_pipelines.domains.leads.names import notes_on_score_rules
    from marketing_pipelines.domains.lifecycle.checking import notes_on_triggers, problems
    from marketing_pipelines.domains.segments.preview import notes_on_segments
    from marketing_pipelines.freshness import first_day

    load_tables()
    of_kind: dict[str, Callable[[sa.Connection], Iterator[str]]] = {
        **dict.fromkeys(("steps", "campaigns", "sequences", "journeys"), problems),
        **dict.fromkeys(("campaign_triggers", "journey_triggers"), notes_on_triggers),
        "score_rules": notes_on_score_rules,
        "segments": notes_on_segments,
        "sending_domains": functools.partial(notes_on_warmup, now=dt.datetime.now(dt.UTC)),
    }
    with engine.connect() as connection:
        found = first_day.notes(connection, settings)
        if kind in of_kind:
            found += itertools.islice(of_kind[kind](connection), MAX_NOTES)
    return found


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Progress | None]:
    """A bar over the file's bytes, on a terminal only."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}% {task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(title, total=None, rows=0)

        def advance(position: int, size: int, rows: int) -> None:
            bar.update(task, completed=position, total=size, rows=rows)

        yield advance
