"""Definitions in a file that is not loaded are named, not silently missing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from marketing_pipelines.domains import JOB_FILES
from marketing_pipelines.locations import PACKAGE
from marketing_pipelines.unloaded import unloaded

# As `dg scaffold defs dagster.asset new_asset.py` writes it.
SCAFFOLDED = """import dagster as dg


@dg.asset
def new_asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult: ...
"""


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("new_asset.py", SCAFFOLDED, ["new_asset.py"]),
        (
            "crm/nightly.py",
            "from dagster import schedule\n@schedule()\ndef nightly(): ...\n",
            ["crm/nightly.py"],
        ),
        ("crm/new/defs.yaml", "type: dagster.DefsFolderComponent\n", ["crm/new/defs.yaml"]),
        ("crm/jobs.py", SCAFFOLDED, []),
        ("crm/new/jobs.py", SCAFFOLDED, ["crm/new/jobs.py"]),
        ("crm/helpers.py", "import dagster as dg\n\ndef key() -> dg.AssetKey: ...\n", []),
        (
            "crm/clock.py",
            "import dagster as dg\n"
            "nightly = dg.ScheduleDefinition(job_name='a', cron_schedule='@daily')\n",
            ["crm/clock.py"],
        ),
        ("defs.py", "import dagster as dg\ndefs: dg.Definitions = dg.Definitions()\n", ["defs.py"]),
        (
            "crm/picked.py",
            "from dagster import define_asset_job\npicked = define_asset_job('picked', '*')\n",
            ["crm/picked.py"],
        ),
        (
            "crm/both.py",
            "import dagster as dg\none, other = dg.AssetSpec('a'), dg.AssetSpec('b')\n",
            ["crm/both.py"],
        ),
        ("crm/keys.py", "import dagster as dg\nKEY = dg.AssetKey('a')\n", []),
        ("crm/broken.py", "import dagster as dg\n@dg.asset\ndef (", []),
    ],
)
def test_a_file_outside_the_rooms_is_named(
    tmp_path: Path, name: str, source: str, expected: list[str]
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    assert unloaded(tmp_path, JOB_FILES) == expected


def test_every_definition_of_this_release_is_loaded() -> None:
    assert unloaded(PACKAGE / "domains", JOB_FILES) == []


def test_loading_and_doctor_name_the_file(tmp_path: Path) -> None:
    """A fresh interpreter, whose package is a copy with the scaffolded file."""
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name)
    (tmp_path / "marketing_pipelines" / "domains" / "new_asset.py").write_text(SCAFFOLDED)
    for file in ("dagster.yaml", "workspace.yaml"):
        (tmp_path / file).write_text((PACKAGE.parent / file).read_text())
    script = "from marketing_pipelines.cli import doctor; doctor.check_definitions()"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "domains/new_asset.py is not loaded: move its definitions" in done.stderr
    assert "Definitions in domains/new_asset.py are not loaded" in done.stderr
