"""Work done by another process: `python -m marketing_pipelines_tests.faults.child WHAT …`.

`run JOB KEY…` does each partition by itself, `range JOB FIRST LAST` does them as one, `read FLAG`
asks what analysts ask until the file FLAG exists. Each prints what came of it as JSON.
"""

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from marketing_pipelines.querying import ask
from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines_tests.forking import Forked
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import SOAK

DAYS = (
    "select date::text, event_type, sum(event_count)::int from analytics.daily_events group by 1, 2"
)
LAKE = "select dt, event_type, count(*) from lake.contact_activity group by all"


@contextmanager
def started(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """The process; killed at the end if it still runs."""
    with Forked(__name__, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def result_of(process: "subprocess.Popen[str]") -> Any:
    """Its output; its errors, if it failed, as the reason."""
    printed, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(printed.splitlines()[-1])


def main(what: str, *arguments: str) -> Any:
    settings = get_settings()
    with Installation.open(settings, create_engine(database_url(settings))) as installation:
        if what == "read":
            return read_until(settings, Path(arguments[0]))
        job, *keys = arguments
        if what == "range":
            return [dataclasses.asdict(o) for o in installation.run(job, *keys, only=True)]
        return [dataclasses.asdict(o) for k in keys for o in installation.run(job, k, only=True)]


def read_until(settings: Settings, flag: Path) -> dict[str, Any]:
    """Every distinct number that was seen per relation, day and type, and how often it looked."""
    seen: dict[str, set[int]] = {}
    looks = 0
    while not flag.exists() or looks < 2:
        looks += 1
        # In short, the processors are for those that write.
        time.sleep(0 if SOAK else 0.3)
        for name, statement in (("days", DAYS), ("lake", LAKE)):
            with contextmanager(ask)(settings, statement) as answer:
                for day, event_type, count in answer.rows:
                    seen.setdefault(f"{name} {day} {event_type}", set()).add(count)
    return {"looks": looks, "seen": {key: sorted(counts) for key, counts in seen.items()}}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
