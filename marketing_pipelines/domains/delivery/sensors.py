"""The sensor that finds due messages without a task."""

import datetime as dt

import dagster as dg

from marketing_pipelines.domains.delivery.due import due_channels
from marketing_pipelines.domains.delivery.hooks.recording import apply_waiting
from marketing_pipelines.domains.delivery.notifications import mail_of_grants
from marketing_pipelines.domains.delivery.notify import notify_workers
from marketing_pipelines.jobs.resources import Postgres
from marketing_pipelines.jobs.scheduling import sensor


@sensor(
    seconds=30,
    while_off="Messages of a resumed program stay queued.",
)
def due_messages_sensor(postgres: Postgres) -> dg.SkipReason:
    """Starts tasks for due messages that have none: of resumed programs, or after a dead letter.

    Events of providers that came before their message was settled take effect, too, and
    notifications of grants get their mail.
    """
    now = dt.datetime.now(dt.UTC)
    with postgres.begin() as connection:
        apply_waiting(connection, now)
        mail_of_grants(connection, now)
        channels = due_channels(connection, now)
        notify_workers(connection, channels)
    return dg.SkipReason(f"Messages are due in: {', '.join(channels) or 'no channel'}.")
