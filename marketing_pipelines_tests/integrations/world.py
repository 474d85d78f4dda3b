"""Organizations with connections to one service, and runs of their jobs."""

import datetime as dt
import json
from collections.abc import Sequence
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import sqlalchemy as sa

from marketing_pipelines import policies
from marketing_pipelines.domains.integrations import connections
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.providers import provider_of
from marketing_pipelines.policies import Policy
from marketing_pipelines.runs.frame import open_tick
from marketing_pipelines.runs.tags import TICK_TAG
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import create_engine
from marketing_pipelines_tests.emptying import EMPTY
from marketing_pipelines_tests.installation import Installation

# An asset without retries, with a clock for the time after which a synchronization is overdue.
KEY = "connected/outcome"
policies.declare(KEY, Policy(cron="0 2 * * *", retries=()))
NIGHT = dt.datetime(2026, 3, 1, 2, tzinfo=dt.UTC)


@cache
def run_of_a_job(instance: dg.DagsterInstance) -> dg.AssetExecutionContext:
    """The context of one run in Dagster, which ticks use in turn.

    A run for each tick would take most of its time in Dagster.
    """
    found: list[dg.AssetExecutionContext] = []

    @dg.asset(key=KEY.split("/"))
    def outcome(context: dg.AssetExecutionContext) -> None:
        found.append(context)

    dg.materialize(
        [outcome],
        instance=instance,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    return found[0]


class Connected:
    """Two organizations, acme and umbra, without contacts and connections."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.rows, self.execute = installation.rows, installation.execute
        self.execute(EMPTY)
        self.execute("insert into crm.organizations (external_id) values ('acme'), ('umbra')")
        self.organizations: dict[str, int] = dict(
            installation.rows("select external_id, id from crm.organizations")
        )

    def connect(self, provider: str, organization: str = "acme", **fields: Any) -> Connection:
        """Sets a connection."""
        with self.installation.engine.begin() as connection:
            return connections.set_connection(
                connection,
                get_settings(),
                self.organizations[organization],
                provider_of(provider),
                fields,
                dt.datetime.now(dt.UTC),
            )

    def contacts(self, *rows: dict[str, Any], organization: str = "acme") -> None:
        """Adds contacts `c1`, `c2`, … with the columns of each row."""
        [(before,)] = self.rows("select count(*) from crm.contacts")
        for place, row in enumerate(rows, before + 1):
            values = {"external_id": f"c{place}", "email": f"c{place}@x.example", **row}
            values["organization_id"] = self.organizations[organization]
            values["attributes"] = json.dumps(values.get("attributes", {}))
            names = ", ".join(values)
            marks = ", ".join(f"cast(:{n} as jsonb)" if n == "attributes" else f":{n}"
                              for n in values)  # fmt: skip
            self.execute(f"insert into crm.contacts ({names}) values ({marks})", **values)

    def run(self, job: Any, at: dt.datetime = NIGHT) -> dict[str, Any]:
        """Runs the function of a job in the real frame; returns the metadata of its session."""
        seen: dict[str, Any] = {"succeeded": True}
        context = run_of_a_job(self.installation.instance)
        context.run.tags[TICK_TAG] = at.isoformat()
        # Its locks end with its connections, which a pool would keep.
        engine = create_engine(self.installation.engine.url)
        try:
            with open_tick(engine, ZoneInfo("UTC"), context) as tick:
                try:
                    job(tick)
                finally:
                    seen.update(tick.metadata)
                    seen.update(
                        rows=tick.rows,
                        ok=tick.failures.ok,
                        failed=tick.failures.failed,
                        waiting=tick.failures.waiting,
                    )
        except dg.Failure:
            seen["succeeded"] = False
        return seen

    def dump(self, tables: Sequence[str]) -> list[Any]:
        """All rows of tables, as text."""
        return [row for table in tables for row in sorted(map(str, self.rows(
            f"select t::text from {table} as t")))]  # fmt: skip

    def state(self, provider: str) -> list[tuple[Any, ...]]:
        """State and error of the connections of a provider, by organization."""
        return self.rows(
            "select organization.external_id, state, error from integrations.connections as c"
            " join crm.organizations as organization on organization.id = c.organization_id"
            " where provider = :provider order by 1",
            provider=provider,
        )


def everything_in(connection: sa.Connection) -> str:
    """Every row of every table of the database, as text."""
    tables = connection.exec_driver_sql(
        "select quote_ident(table_schema) || '.' || quote_ident(table_name)"
        " from information_schema.tables"
        " where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog',"
        " 'information_schema')"
    ).scalars()
    texts = [
        "\n".join(connection.exec_driver_sql(f"select t::text from {table} as t").scalars())
        for table in tables.all()
    ]
    return "\n".join(texts)
