"""The files behind a job, read from its source: its SQL, and its test in a checkout.

The timetable shows them, so that a reader goes from the time of a job to its statements at once.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from marketing_pipelines.locations import PACKAGE
from marketing_pipelines.registry import Job

_DOMAINS = "marketing_pipelines.domains."
_DRAWS = "_to_draw"
_WRITES = re.compile(r"\b(insert into|update|delete from|merge into)\s+\w+\.\w+")
_TESTS = PACKAGE.parent / "marketing_pipelines_tests"


@dataclass(frozen=True)
class JobFiles:
    """The files behind a job.

    Attributes:
        logic: The first module that its declaration calls, or its own.
        sql: The SQL files that it reads, those of its own domain first, of these the ones that
            write tables, else the ones nearest to its declaration; none: its statements are built
            in Python. Statements that only draw a chart are left out.
    """

    logic: Path
    sql: list[Path]


def files_of(job: Job) -> JobFiles:
    """Returns the files behind a job.

    These are the files of the functions and classes of the domains that it reaches, and the SQL
    files that text in them names.
    """
    found: dict[Path, None] = {}
    seen = {(job.module, job.key.rpartition("/")[2])}
    modules = [job.module]
    waiting = list(seen)
    while waiting:
        module, name = waiting.pop(0)
        source = _source(module)
        if name in source.definitions and module not in modules:
            modules.append(module)
        for node in source.definitions.get(name, ()):
            found |= dict.fromkeys(_sql_named_in(node, source.folder))
            for reached in source.reached_from(node):
                if reached not in seen:
                    seen.add(reached)
                    waiting.append(reached)
    sql = [path for path in found if not path.stem.endswith(_DRAWS)]
    domain = job.key.partition("/")[0]
    sql.sort(key=lambda path: (path.parent.parent.name != domain, not _writes(path)))
    return JobFiles(_path(modules[min(1, len(modules) - 1)]), sql)


def purpose(job: Job) -> str:
    """Returns the first sentence of a job's docstring."""
    [node] = _source(job.module).definitions[job.key.rpartition("/")[2]]
    assert isinstance(node, ast.FunctionDef)
    text = " ".join((ast.get_docstring(node) or "").split())
    return text.partition(". ")[0].removesuffix(".") + "."


def sensor_file(name: str) -> Path | None:
    """Returns the file that declares a sensor."""
    for path in sorted((PACKAGE / "domains").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if f"def {name}(" in text or f'"{name}"' in text:
            return path
    return None


def covering_test(job: Job) -> Path | None:
    """Returns the test that names the job most often, one of its own domain first."""
    domain, _, name = job.key.partition("/")
    found = []
    for path in sorted(_TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        mentions = text.count(f'"{job.key}"')
        is_named_alike = name in path.stem or path.stem.removeprefix("test_") in name
        if mentions or (is_named_alike and path.parent.name == domain):
            is_of_a_room = path.parent != _TESTS
            found.append((path.parent.name == domain, is_of_a_room, is_named_alike, mentions, path))
    return max(found)[-1] if found else None


@dataclass
class _Source:
    """A module of the domains: the names that it defines and imports."""

    module: str
    folder: Path
    definitions: dict[str, list[ast.AST]] = field(default_factory=dict)
    imported: dict[str, tuple[str, str | None]] = field(default_factory=dict)

    def reached_from(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        """The definitions, as module and name, to which a piece of it refers."""
        for each in ast.walk(node):
            if isinstance(each, ast.Name):
                if each.id in self.definitions:
                    yield self.module, each.id
                module, name = self.imported.get(each.id, ("", None))
                if name is not None:
                    yield module, name
            elif isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name):
                module, name = self.imported.get(each.value.id, ("", None))
                if module and name is None:
                    yield module, each.attr


@cache
def _source(module: str) -> _Source:
    path = _path(module)
    source = _Source(module, path.parent)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        for name in _names(node):
            source.definitions.setdefault(name, []).append(node)
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(_DOMAINS):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = _path(whole).is_file()
                source.imported[alias.asname or alias.name] = (
                    (whole, None) if is_module else (str(node.module), alias.name)
                )
    return source


def _path(module: str) -> Path:
    path = PACKAGE.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _names(node: ast.stmt) -> list[str]:
    """The names that a statement of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        # The decorator of a job names the jobs before it, which are no part of it.
        node.decorator_list = []
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _writes(path: Path) -> bool:
    return _WRITES.search(path.read_text(encoding="utf-8")) is not None


def _sql_named_in(node: ast.AST, folder: Path) -> Iterator[Path]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            name = each.value
            if name and "\n" not in name and len(name) < 80 and "\0" not in name:
                path = folder / "sql" / f"{name.removesuffix('.sql')}.sql"
                if path.is_file():
                    yield path
