"""The shape of the package: modules that stay small, and names that mean one thing."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import marketing_pipelines

PACKAGE = Path(marketing_pipelines.__file__).parent
TESTS = Path(__file__).parent
MAX_LINES = 400


def test_no_module_is_longer_than_400_lines() -> None:
    lines = {
        str(path.relative_to(PACKAGE)): len(path.read_text().splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert len(lines) > 200
    assert {path: count for path, count in lines.items() if count > MAX_LINES} == {}


def test_no_public_class_or_type_has_the_name_of_another() -> None:
    places = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            for name in _classes_and_types(node):
                places[name].append(str(path.relative_to(PACKAGE)))
    assert len(places) > 200
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def _classes_and_types(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.ClassDef):
        names = [node.name]
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
    else:
        names = []
    # Constants are written in capitals throughout.
    yield from (name for name in names if name[0].isupper() and not name.isupper())


def test_nothing_is_left_unimplemented() -> None:
    raising = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "NotImplementedError" in path.read_text()
    ]
    assert raising == []


def test_tests_with_a_size_for_the_soak_are_part_of_it() -> None:
    found = {
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("test_*.py")
        if "SOAK" in path.read_text() and "pytest.mark.soak" not in path.read_text()
    }
    assert found == set()
