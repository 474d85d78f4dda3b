"""A run that fills an issue of the newsletter and kills itself before it commits:
`python -m …newsletter_child ORGANIZATION TICK STATEMENT`.

It dies, by SIGKILL, before its statement of this number; 0: before the commit.
"""

import datetime as dt
import os
import signal
import sys
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.domains.campaigns.newsletter import fill_issue
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import create_engine, database_url

if __name__ == "__main__":
    organization_id, tick, last = (
        int(sys.argv[1]),
        dt.datetime.fromisoformat(sys.argv[2]),
        sys.argv[3],
    )
    engine = create_engine(database_url(get_settings()), pool_size=1)
    done = 0

    def count(*_: Any) -> None:
        """Dies at its statement."""
        global done
        done += 1
        if done == int(last):
            os.kill(os.getpid(), signal.SIGKILL)

    with engine.begin() as connection:
        organization = connection.execute(
            sa.text("select id, external_id from crm.organizations where id = :id"),
            {"id": organization_id},
        ).one()
        sa.event.listen(connection, "before_cursor_execute", count)
        fill_issue(connection, organization, tick.date(), tick)
        os.kill(os.getpid(), signal.SIGKILL)
