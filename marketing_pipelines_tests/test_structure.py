"""The shape of the package: modules that stay small, and names that mean one thing."""

from pathlib import Path

import marketing_pipelines

PACKAGE = Path(marketing_pipelines.__file__).parent
MAX_LINES = 400


def test_no_module_is_longer_than_400_lines() -> None:
    lines = {
        str(path.relative_to(PACKAGE)): len(path.read_text().splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert len(lines) > 200
    assert {path: count for path, count in lines.items() if count > MAX_LINES} == {}
