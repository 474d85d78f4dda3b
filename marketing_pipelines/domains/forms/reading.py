"""The sheets of all forms, read at each tick: each form by itself, over the connections to Google.

A sheet is read before the transaction that stores its rows. An error of one sheet is that of its
form. Where Google itself does not answer, or wants fewer calls, the forms of the connection wait
for the next tick.
"""

import datetime as dt
from collections.abc import Sequence
from functools import partial
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from marketing_pipelines.domains.forms.cells import SubmittedRow, read_cells, submitted_rows
from marketing_pipelines.domains.forms.declared import SheetForm, enabled_forms, is_unchanged
from marketing_pipelines.domains.forms.sheets import SheetsClient
from marketing_pipelines.domains.forms.submissions import note_tried, store_reading
from marketing_pipelines.domains.forms.tokens import token_source
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.grants import GrantFailingError, GrantWaitsError
from marketing_pipelines.domains.integrations.http import (
    LoginRefusedError,
    ServiceUnavailableError,
    TimeUsedUpError,
)
from marketing_pipelines.domains.integrations.providers import GOOGLE, GoogleFields
from marketing_pipelines.domains.integrations.syncs import (
    PACING,
    Pacing,
    Synced,
    SyncReport,
    sync_each,
)
from marketing_pipelines.failures import TimedOutError
from marketing_pipelines.freshness import cron
from marketing_pipelines.policies import policy_of
from marketing_pipelines.redaction import redact
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import create_engine, database_url

WHAT = "submissions"
COUNTS = ("new", "edited", "missing", "published", "erased")
# These are errors of the connection, not of one of its forms.
_OF_CONNECTION = (LoginRefusedError, ServiceUnavailableError, GrantWaitsError, GrantFailingError)


def read_sheets(tick: Tick, pacing: Pacing = PACING) -> None:
    """Reads the sheets of all enabled forms."""
    with tick.begin(isolation="read committed") as connection:
        forms = enabled_forms(connection)
    sync_each(tick, GOOGLE, WHAT, partial(_read_all, tick, forms, pacing), pacing)
    alone = sum(form.connection_id is None for form in forms)
    if alone:
        tick.failures.waiting += alone
        note = f"{alone} forms wait for a connection: load them again with one."
        tick.metadata["note"] = " ".join(filter(None, [tick.metadata.get("note"), note]))


def check(settings: Settings, connection: Connection) -> str:
    """Asks Google for a spreadsheet that does not exist.

    Raises:
        MarketingPipelinesError: Google does not answer as it should.
    """
    fields: GoogleFields = connection.fields(settings)
    engine = create_engine(database_url(settings))
    SheetsClient(fields, token_source(settings, engine, connection, fields)).check()
    if fields.account is None:
        return "Google knows the grant, which reads the sheets of its account"
    return f"Google knows {fields.account}; share the sheets of forms with this address"


def _read_all(tick: Tick, forms: Sequence[SheetForm], pacing: Pacing, synced: Synced) -> SyncReport:
    """Reads the sheets of one connection."""
    own, report = synced.connection, SyncReport(synced_until=tick.instant, backlog=0)
    mine = [form for form in forms if form.connection_id == own.id]
    if not mine:
        # It is no item: there is nothing to do over it.
        report.has_items = True
        return report
    fields: GoogleFields = own.fields(tick.settings)
    tokens = token_source(tick.settings, tick.connection.engine, own, fields, synced.ends_at)
    client = SheetsClient(fields, tokens, synced.ends_at)
    for place, form in enumerate(mine):
        try:
            _read_one(tick, client, form, report)
        except TimeUsedUpError:
            if not report.has_items:
                raise
            # They come first at the next tick.
            tick.failures.waiting += len(mine) - place
            report.backlog = len(mine) - place
            break
        except _OF_CONNECTION as error:
            # The form comes last at the next tick, so that none stands in the way of others.
            with tick.begin(isolation="read committed") as connection:
                note_tried(connection, form, tick.instant)
            if isinstance(error, ServiceUnavailableError):
                tick.failures.waiting += len(mine) - place
                raise _until_next_tick(tick, error, pacing.clock()) from error
            raise
    return report


def _read_one(tick: Tick, client: SheetsClient, form: SheetForm, report: SyncReport) -> None:
    """Reads and stores one sheet; an error of its own is that of the item."""
    problem: Exception | None = None
    columns: list[str] = []
    rows: list[SubmittedRow] = []
    try:
        values = client.values(form.spreadsheet_id, form.sheet)
        sheet = read_cells(values, form.header_row, form.needed)
        zone = client.time_zone(form.spreadsheet_id) if form.has_instants else ZoneInfo("UTC")
        columns = sheet.columns
        rows = list(submitted_rows(sheet, form.columns, form.keys, zone, tick.instant))
    except (TimedOutError, TimeUsedUpError, *_OF_CONNECTION):
        raise
    except Exception as error:
        problem = error
    report.has_items = True
    with tick.begin(isolation="read committed") as connection:
        for item in tick.items(connection, [form], lambda form: form.name):
            with item:
                try:
                    if problem is not None:
                        raise problem
                    _store(connection, tick, form, columns, rows)
                except Exception as error:
                    problem = error
                    raise
        if problem is not None:
            note_tried(connection, form, tick.instant, _reason(problem))


def _store(
    connection: sa.Connection,
    tick: Tick,
    form: SheetForm,
    columns: Sequence[str],
    rows: Sequence[SubmittedRow],
) -> None:
    if not is_unchanged(connection, form):
        # The next tick reads it as it is now.
        return
    stored = store_reading(connection, form, columns, rows, tick.instant)
    # Not in the report, which is lost if a later form meets an error of the connection.
    tick.rows += stored.new + stored.edited
    for name in COUNTS:
        key = f"submissions_{name}"
        tick.metadata[key] = tick.metadata.get(key, 0) + getattr(stored, name)


def _until_next_tick(
    tick: Tick, error: ServiceUnavailableError, now: dt.datetime
) -> ServiceUnavailableError:
    """The error with a pause until the next tick, so that no retry of this one calls again."""
    clock = policy_of(tick.job).cron
    wait = error.wait or dt.timedelta(0)
    if clock is not None:
        ticks = cron.ticks(clock, cron.clock_zone(clock, tick.zone).key, tick.instant)
        following = next(at for at in ticks if at > tick.instant)
        # The next tick finds the pause over.
        wait = max(wait, following - now - dt.timedelta(seconds=1))
    return ServiceUnavailableError(str(error), wait)


def _reason(error: Exception) -> str:
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    text: str = redact(" ".join(str(cause).split()))
    return text
