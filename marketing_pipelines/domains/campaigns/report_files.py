"""Writes the reports of all campaigns as files, and the page that links them."""

from marketing_pipelines.domains.campaigns import reports
from marketing_pipelines.jobs.metadata import bar_chart, path_of, table_of
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines.stores.files import FileStore

SHOWN = 50
NUMBERS = ("entered", "active", "completed", "exited", "failed")


def write_all(tick: Tick, files: FileStore) -> None:
    """Writes the reports of all campaigns, and the page that links them."""
    written: set[str] = set()
    with tick.begin() as connection:
        found = reports.read(connection, tick=tick.instant, zone=tick.zone)
        for item in tick.items(connection, found):
            with item as report:
                page = reports.render(report, tick=tick.instant, zone=tick.zone)
                files.replace(report.path, page.encode())
                written.add(report.path)
        missing = {report.path for report in found} - written
        index = reports.render_index(found, missing, tick=tick.instant, zone=tick.zone)
        files.replace("index.html", index.encode())
    tick.rows = len(written)
    largest = sorted(found, key=lambda report: -report.row.entered)[:SHOWN]
    tick.metadata |= {
        "campaigns": table_of(
            ("campaign", *NUMBERS, "status", "organization"),
            (
                (
                    one.row.name,
                    *(getattr(one.row, name) for name in NUMBERS),
                    one.row.status,
                    one.row.organization,
                )
                for one in largest
            ),
        ),
        "index": path_of(files.place("index.html")),
    }
    if shown := next((report for report in largest if report.steps), None):
        entered = [("entered", shown.row.entered)]
        came = [(step.name, step.arrived) for step in shown.steps if step.arrived]
        tick.metadata["funnel"] = bar_chart(entered + came, shown.row.name)
