"""The endpoints of steps `webhook`: a step names one of its organization by its URL."""

from collections.abc import Iterable, Iterator

import sqlalchemy as sa

from marketing_pipelines.domains.lifecycle.plan import PlannedStep
from marketing_pipelines.domains.lifecycle.programs import read_sql
from marketing_pipelines.domains.lifecycle.steps import Webhook
from marketing_pipelines.domains.webhooks.publishing import REACHED
from marketing_pipelines.stores.kinds import RefusedRow


def endpoints_of(
    connection: sa.Connection, planned: Iterable[PlannedStep]
) -> tuple[dict[int, int], dict[int, str]]:
    """Returns the endpoints of steps `webhook`, and why some have none, by step.

    Of several with one URL it is the first that is not disabled.
    """
    steps = {one.id: (one, one.step.url) for one in planned if isinstance(one.step, Webhook)}
    if not steps:
        return {}, {}
    asked = {
        "organizations": list({one.program.organization_id for one, _ in steps.values()}),
        "urls": list({url for _, url in steps.values()}),
    }
    rows = connection.execute(read_sql("endpoints_named"), asked)
    known = {(row.organization_id, row.url): row.id for row in rows}
    found: dict[int, int] = {}
    problems: dict[int, str] = {}
    for number, (one, url) in steps.items():
        endpoint = known.get((one.program.organization_id, url))
        if endpoint is None:
            problems[number] = f"url: {_unknown(url, one.program.organization)}."
        else:
            found[number] = endpoint
    return found, problems


def refused(connection: sa.Connection) -> Iterator[RefusedRow]:
    """Yields the staged steps that name an unknown endpoint."""
    for row in connection.execute(read_sql("staged_webhooks")):
        yield RefusedRow(row.line, "config", f"url: {_unknown(row.url, row.organization)}")


def _unknown(url: str, organization: str) -> str:
    return (
        f"{organization} has no webhook endpoint '{url[:100]}': add it by `webhook add URL"
        f" --organization {organization} --type {REACHED}`"
    )
