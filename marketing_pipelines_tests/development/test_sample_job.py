"""The sample job counts, and the page that teaches how to add a job can be followed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from marketing_pipelines.locations import PACKAGE
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import event
from marketing_pipelines_tests.scale import SOAK

ROOT = PACKAGE.parent
PAGE = ROOT / "docs" / "adding-a-job.md"
RECIPES = ROOT / "docs" / "recipes.md"
FILE = re.compile(
    r"^`([\w/]+\.(?:py|sql))`:\n\n```(?:python|sql)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
COMMAND = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_contacts_are_counted_per_organization(installation: Installation, tmp_path: Path) -> None:
    who = [("acme", "c1"), ("acme", "c2"), ("acme", "c2"), ("globex", "c1")]
    rows = [
        event(n, "2026-03-01T10:00:00Z", organization_id=organization, contact_id=contact)
        for n, (organization, contact) in enumerate(who)
    ]
    installation.load_events(tmp_path, rows)
    [outcome] = installation.run("development/sample_job")
    assert (outcome.status, outcome.rows) == ("COMPLETED", 3)
    materialization = installation.instance.get_latest_materialization_events(
        installation.instance.get_asset_keys()
    )
    [entry] = [e for key, e in materialization.items() if key.path[-1] == "sample_job" and e]
    assert entry.asset_materialization is not None
    assert entry.asset_materialization.metadata["contacts"].value == {"acme": 2, "globex": 1}


@pytest.mark.soak
def test_the_pages_on_jobs_and_recipes_can_be_followed_word_for_word(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """In a copy of the checkout: write the files of both pages, run the commands and all tests.

    In short, without the command that runs the tests, which make a database of their own.
    """
    text = PAGE.read_text(encoding="utf-8")
    files = dict(FILE.findall(text))
    lines = [line for code in files.values() for line in code.splitlines() if line.strip()]
    assert len(lines) < 20
    recipes = FILE.findall(_with_revisions(RECIPES.read_text(encoding="utf-8")))
    assert len(recipes) == 10
    files |= dict(recipes)
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("pyproject.toml", "dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, copy)
    for name in ("marketing_pipelines", "marketing_pipelines_tests", "docs"):
        shutil.copytree(ROOT / name, copy / name)
    for name, code in files.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(code)
        (copy / name).with_name("__init__.py").touch()
    variables = {
        "PYTHONPATH": str(copy),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTEST_ADDOPTS": f"-vv -p no:cacheprovider -p no:xdist --basetemp={tmp_path / 'inner'}"
        " marketing_pipelines_tests/hygiene marketing_pipelines_tests/engagement"
        " marketing_pipelines_tests/test_schemas_of_domains.py"
        " marketing_pipelines_tests/stores/test_ownership.py",
    }
    # Settings of xdist's workers: this test run would take itself for one of them.
    own = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    outputs = []
    commands = COMMAND.findall(text)
    assert commands[0].startswith("python -m pytest ")
    for command in commands if SOAK else commands[1:]:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=copy,
            env=own | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])
        outputs.append(done.stdout)
    for name in files if SOAK else ():
        if name.startswith("marketing_pipelines_tests/"):
            assert f"{name}::" in outputs[0]
    for job in ("support/unreachable_contacts", "engagement/active_contacts"):
        assert job in outputs[-1]


def _with_revisions(text: str) -> str:
    """The page's migration, numbered after the newest one."""
    versions = PACKAGE / "migrations" / "versions"
    newest = max(path.name[:4] for path in versions.glob("[0-9]*.py"))
    return text.replace("NEXT", f"{int(newest) + 1:04}").replace("NEWEST", newest)
