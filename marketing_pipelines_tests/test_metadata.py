"""The metadata of the package: version, types, and a range for everything it needs."""

import tomllib
from importlib import metadata
from typing import Any

import pytest
from packaging.requirements import Requirement

from marketing_pipelines.cli.main import main
from marketing_pipelines.locations import PACKAGE

PROJECT: dict[str, Any] = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
NEEDED = [
    Requirement(text)
    for group in (
        PROJECT["build-system"]["requires"],
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
    )
    for text in group
]
BOUNDS = {"<", "==", "~="}


def test_every_dependency_has_an_upper_bound() -> None:
    assert len(NEEDED) > 40
    assert [str(r) for r in NEEDED if not BOUNDS & {s.operator for s in r.specifier}] == []


def test_every_pinned_version_lies_within_its_bounds() -> None:
    lines = (PACKAGE.parent / "constraints.txt").read_text().split()
    pinned = dict(line.lower().replace("_", "-").split("==") for line in lines)
    outside = [str(r) for r in NEEDED if not r.specifier.contains(pinned[r.name.lower()])]
    assert outside == []


def test_the_version_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["marketing-pipelines", "--version"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    version = metadata.version("marketing-pipelines")
    assert capsys.readouterr().out == f"marketing-pipelines {version}\n"
    assert PROJECT["project"]["version"] == version


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
