"""Prints what the metrics say, for developers without a monitoring system."""

from marketing_pipelines.jobs.metadata import table_of
from marketing_pipelines.runs.tick import Tick


def print_metrics(tick: Tick) -> None:
    """Writes queues, lags and sizes to the log of the run and to its metadata."""
    from marketing_pipelines.observability import metrics

    with tick.begin() as connection:
        samples = metrics.samples(connection, tick.instant)
    for sample in samples:
        labels = f"{{{sample.labels}}}" if sample.labels else ""
        tick.context.log.info(f"{sample.metric}{labels} {sample.value:g}")
    tick.rows = len(samples)
    tick.metadata["metrics"] = table_of(
        ("metric", "labels", "value"),
        [(one.metric, one.labels, f"{one.value:g}") for one in samples],
    )
