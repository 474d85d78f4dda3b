"""The jobs of this domain."""

from marketing_pipelines.domains.delivery import sources, warmup
from marketing_pipelines.domains.delivery.warmup_mirror import mirror_at
from marketing_pipelines.jobs.domain import Domain
from marketing_pipelines.jobs.metadata import table_of
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.tick import Tick

DELIVERY = Domain("delivery", owner=Team.DELIVERABILITY)


@DELIVERY.job(cron="0 0 * * *", deps=[sources.sending_domains, sources.messages])
def warmup_counters(tick: Tick) -> None:
    """Closes the day's warm-up counters of sending domains."""
    with tick.begin() as connection:
        closed = warmup.close_daily_counters(connection, day=tick.date, at=tick.instant)
        counters = warmup.counters(connection, tick.date)
    tick.rows = len(closed)
    tick.metadata["closed"] = table_of(
        ("organization", "domain", "day", "reserved", "sent"), [tuple(row) for row in closed]
    )
    if tick.settings.redis_url is not None:
        deleted = mirror_at(tick.settings.redis_url).replace(counters)
        tick.metadata["deleted keys"] = "the server does not answer" if deleted is None else deleted
