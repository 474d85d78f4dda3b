"""Metadata of assets in the Dagster UI: columns, previews, charts, code references, checks."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import dagster as dg
import sqlalchemy as sa

from marketing_pipelines import charts
from marketing_pipelines.locations import PACKAGE
from marketing_pipelines.runs.checks import Check, CheckOutcome, merged
from marketing_pipelines.runs.tick import Tick

PREVIEW_ROWS = 8
EVERY_ITEM_DONE = Check(
    "every_item_done", "No item fails, in this run or since an earlier one", blocking=False
)


def column_descriptions(table: sa.Table) -> dict[str, Any]:
    """The table's columns with their SQL comments, for the asset's page."""
    return {
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(column.name, str(column.type), description=column.comment)
                for column in table.columns
            ]
        ),
        "dagster/table_name": table.fullname,
    }


def preview(connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> Any:
    """The first rows written, as a table."""
    rows = connection.execute(sa.select(table).where(where).limit(PREVIEW_ROWS))
    return table_of([column.name for column in table.columns], rows)


def table_of(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    """Rows as a table."""
    lines = [
        list(header),
        ["---"] * len(header),
        *([_cell(value) for value in row] for row in rows),
    ]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def path_of(place: str) -> Any:
    """The path or URL of a file, to open or copy."""
    return dg.MetadataValue.path(place)


def line_chart(lines: Iterable[charts.NamedLine], measure: str) -> Any:
    """One line per name over days, as an image.

    Args:
        measure: Name of the numbers.
    """
    return _as_image(charts.line_image(charts.line_chart(measure, lines)), measure)


def bar_chart(bars: Sequence[tuple[str, int]], title: str) -> Any:
    """One bar per name, the first on top, as an image."""
    return _as_image(charts.bar_image(title, bars), "funnel")


def _as_image(svg: str, name: str) -> Any:
    encoded = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![{name}](data:image/svg+xml;base64,{encoded})")


def code_reference(file: str, line: int) -> dict[str, Any]:
    """The place of the job's source, for the asset's page."""
    reference = dg.LocalFileCodeReference(
        file_path=str(PACKAGE.parent / file), line_number=line, label=f"{file}:{line}"
    )
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}


def check_spec(asset_key: str, check: Check) -> dg.AssetCheckSpec:
    """The check as Dagster declares it."""
    return dg.AssetCheckSpec(
        check.name,
        asset=dg.AssetKey(asset_key.split("/")),
        blocking=check.blocking,
        description=check.description,
    )


def results(
    tick: Tick, checks: Sequence[Check]
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """The asset's result with a result for each of its checks.

    A run that left the work to another made nothing: it has no result, and each check warns that
    it was not verified.
    """
    if tick.skipped is not None:
        for check in checks:
            yield dg.AssetCheckResult(
                check_name=check.name,
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description=f"Not verified here: run {tick.skipped} does the work.",
            )
        return
    found = merged(tick.outcomes)
    outcomes = [
        _items_outcome(tick) if check is EVERY_ITEM_DONE else found.get(check.name, check.passed())
        for check in checks
    ]
    yield tick.result()._replace(check_results=[_check_result(one) for one in outcomes])


def _items_outcome(tick: Tick) -> CheckOutcome:
    failures = tick.failures
    details = {
        "items_failed": failures.failed,
        "failing": table_of(("item", "why"), failures.failing),
    }
    return CheckOutcome(EVERY_ITEM_DONE, passed=not failures.failing, details=details)


def _check_result(outcome: CheckOutcome) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity
    return dg.AssetCheckResult(
        check_name=outcome.check.name,
        passed=outcome.passed,
        severity=severity.ERROR if outcome.check.blocking else severity.WARN,
        metadata=dict(outcome.details),
    )
