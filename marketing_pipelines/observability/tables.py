"""Tables of observations: health reports and samples of metrics."""

import sqlalchemy as sa

from marketing_pipelines.stores.ownership import Keep, owned
from marketing_pipelines.stores.tables import instant, json_object, metadata

health_reports = sa.Table(
    "health_reports",
    metadata,
    instant("at", "Tick of the report", primary_key=True),
    sa.Column(
        "status", sa.Text, nullable=False, comment="healthy, degraded or unhealthy at that moment"
    ),
    json_object("report", "The whole report: numbers, and the reasons for the status"),
    info=owned(keep=Keep("at", days=90), mentions=("report",)),
    schema="ops",
    comment="Health of the installation every five minutes",
)

metric_samples = sa.Table(
    "metric_samples",
    metadata,
    instant("at", "Tick of the sample", primary_key=True),
    sa.Column("metric", sa.Text, primary_key=True, comment="Name as at /metrics"),
    sa.Column("labels", sa.Text, primary_key=True, comment="Labels as name=value, comma separated"),
    sa.Column("value", sa.Double, nullable=False, comment="Value at that moment"),
    info=owned(keep=Keep("at", days=400)),
    schema="ops",
    comment="Queue, lag and size metrics every hour, for charts over months",
)
