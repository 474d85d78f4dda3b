"""`marketing-pipelines load`: its summary and its exit code."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from marketing_pipelines.cli.load import load

HEADER = "event_id,organization_id,contact_id,event_type,occurred_at"
KNEW_NONE = "; named here and not known before: contacts 1 (c1), organizations 1 (acme)"
GOOD = "e1,acme,c1,sent,2024-03-01T12:00:00Z"


@pytest.mark.parametrize(
    ("rows", "options", "code", "summary"),
    [
        ([GOOD], [], 0, f"loaded 1, repeated 0, rejected 0{KNEW_NONE}"),
        ([GOOD, GOOD, "bad"], [], 1, f"loaded 1, repeated 1, rejected 1 (see REJECTS){KNEW_NONE}"),
        (["bad"], ["--allow-rejects"], 0, "loaded 0, repeated 0, rejected 1 (see REJECTS)"),
    ],
)
def test_the_exit_code_tells_whether_rows_were_refused(
    environment: dict[str, str],
    tmp_path: Path,
    rows: list[str],
    options: list[str],
    code: int,
    summary: str,
) -> None:
    path, rejects = tmp_path / "events.csv", tmp_path / "refused.csv"
    path.write_text("\n".join([HEADER, *rows]))
    app = typer.Typer()
    app.command()(load)
    result = CliRunner().invoke(app, ["events", str(path), "--rejects", str(rejects), *options])
    first, *notes = result.stdout.splitlines()
    assert (result.exit_code, first) == (code, summary.replace("REJECTS", str(rejects)))
    assert notes == [
        f"note: Refused: 1 cells where the header has 5 (line {rows.index(row) + 2})"
        for row in rows
        if row == "bad"
    ]
    assert rejects.exists() == ("bad" in rows)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_columns_that_become_attributes_are_named(
    environment: dict[str, str], tmp_path: Path, suffix: str
) -> None:
    row = {"external_id": "c", "organization_id": "o", "emial": "a@example.org", "plan": "x"}
    path = tmp_path / f"contacts.{suffix}"
    table = f"{','.join(row)}\n{','.join(row.values())}"
    path.write_text(table if suffix == "csv" else json.dumps(row))
    app = typer.Typer()
    app.command()(load)
    result = CliRunner().invoke(app, ["contacts", str(path)])
    assert result.stdout == (
        "loaded 1, repeated 0, rejected 0; named here and not known before: organizations 1 (o);"
        " kept as attributes: emial, plan\n"
    )


def test_steps_that_could_not_be_done_are_noted(
    environment: dict[str, str], tmp_path: Path
) -> None:
    header = "organization_id,program_kind,program,external_id,position,type,config"
    step = 'acme,campaign,spring,fork,1,branch,"{""rule"": {""event"": ""sent""}, ""yes"": ""a""}"'
    path = tmp_path / "steps.csv"
    path.write_text(f"{header}\n{step}\n")
    app = typer.Typer()
    app.command()(load)
    result = CliRunner().invoke(app, ["steps", str(path)])
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            "loaded 1, repeated 0, rejected 0; named here and not known before: organizations 1"
            " (acme), programs 1 (spring)",
            "note: campaign spring of acme, step fork: It leads to 'a', which is no step of its"
            " program.",
        ],
    )
