"""The weekly check of the event lake."""

from marketing_pipelines.domains.analytics.lake_check import compare_files, mark_different
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.lake import Lake

MAX_NAMED = 20


def check_lake(tick: Tick, lake: Lake) -> None:
    """Marks hours whose file is missing or another one than the manifest says."""
    with tick.begin() as connection:
        check = compare_files(connection, lake, tick.date.toordinal() // 7)
    tick.rows = check.files
    tick.metadata |= {"hashed_files": check.hashed, "different_files": len(check.different)}
    if not check.different:
        return
    tick.metadata["different"] = {
        f"{hour:%Y-%m-%d-%H}:00": reason
        for hour, reason in sorted(check.different.items())[:MAX_NAMED]
    }
    with tick.begin(isolation="read committed") as connection:
        mark_different(connection, check, now=tick.instant, zone=tick.zone)
