"""Each domain declares the schemas that its SQL reads and writes beyond its own.

The scan sees the files of `sql/`, the statements in strings, and the SQLAlchemy tables that the
modules of a domain name.
"""

import ast
import importlib
import importlib.util
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines import domains
from marketing_pipelines.domains import load_jobs, load_tables
from marketing_pipelines.stores.tables import metadata

FOLDER = Path(domains.__path__[0])
DOMAINS = [domain.name for domain in pkgutil.iter_modules(domains.__path__) if domain.ispkg]
Uses = dict[str, set[str]]

COMMENT = re.compile(r"--[^\n]*")
WRITING = r"(?:insert\s+into|update|delete\s+from|truncate(?:\s+table)?)"
# Functions that write to the tables that they are given.
WRITERS = ("insert", "update", "delete", "replace_rows", "claim", "give_up", "settle_all")
READING = r"(?:from|join|using|copy|analyze|exists)"


@cache
def statement_parts() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """The patterns of statements that write to or read from a schema, or call its functions."""
    load_tables()
    schemas = "|".join(sorted({str(table.schema) for table in metadata.tables.values()}))
    name = rf"(?:only\s+)?({schemas})\.\w+"
    writes = re.compile(rf"\b{WRITING}\s+{name}", re.IGNORECASE)
    reads = re.compile(rf"\b{READING}\s+{name}|\b({schemas})\.\w+\s*\(", re.IGNORECASE)
    return writes, reads


def uses_of_statement(text: str) -> Iterator[tuple[str, str]]:
    """`reads` or `writes`, with the schema."""
    writes, reads = statement_parts()
    text = COMMENT.sub("", text)
    for found in writes.finditer(text):
        yield "writes", found[1]
    for found in reads.finditer(writes.sub("", text)):
        yield "reads", found[1] or found[2]


def uses_of_module(module: ModuleType) -> Iterator[tuple[str, str]]:
    """The uses of its strings and of the tables that its code names."""
    tree = ast.parse(Path(str(module.__file__)).read_text())
    written = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from uses_of_statement(node.value)
            if node.value in metadata.tables:
                yield "reads", node.value.partition(".")[0]
        elif isinstance(node, ast.Call) and name_of(node.func) in WRITERS:
            for argument in node.args:
                schema = schema_of(module, tree, argument)
                if schema:
                    written.add(argument)
                    yield "writes", schema
    for node in ast.walk(tree):
        schema = schema_of(module, tree, node)
        if schema and node not in written:
            yield "reads", schema


def name_of(function: ast.expr) -> str:
    return getattr(function, "attr", None) or getattr(function, "id", "")


def schema_of(module: ModuleType, tree: ast.Module, node: ast.AST) -> str | None:
    """The schema of the table that an expression is; None: it is none."""
    found = value_of(module, tree, node)
    return found.schema if isinstance(found, sa.TableClause) else None


def value_of(module: ModuleType, tree: ast.Module, node: ast.AST) -> Any:
    if isinstance(node, ast.Name):
        return getattr(module, node.id, None)
    if isinstance(node, ast.Attribute):
        owner = value_of(module, tree, node.value)
        return getattr(owner, node.attr, None) if isinstance(owner, ModuleType) else None
    return None


def uses_of_domain(name: str) -> Uses:
    found: Uses = defaultdict(set)
    for path in (FOLDER / name).rglob("*.sql"):
        for use, schema in uses_of_statement(path.read_text()):
            found[use].add(schema)
    for path in (FOLDER / name).glob("*.py"):
        module = importlib.import_module(f"{domains.__name__}.{name}.{path.stem}")
        for use, schema in uses_of_module(module):
            found[use].add(schema)
    return found


def declared_by(name: str) -> tuple[str | None, Uses]:
    """The schema that a domain owns, and its declared uses of others."""
    domain = importlib.import_module(f"{domains.__name__}.{name}")
    uses = {
        "reads": set(getattr(domain, "READS", ())),
        "writes": set(getattr(domain, "WRITES", ())),
    }
    return getattr(domain, "SCHEMA", None), uses


@pytest.mark.parametrize("name", DOMAINS)
def test_a_domain_declares_the_schemas_that_its_sql_reads_and_writes(name: str) -> None:
    load_jobs()
    own, declared = declared_by(name)
    found = uses_of_domain(name)
    assert {use: found[use] - {own} for use in declared} == declared


def test_each_schema_but_that_of_operations_belongs_to_one_domain() -> None:
    owners = {str(own): name for name in DOMAINS if (own := declared_by(name)[0])}
    load_tables()
    assert sorted(owners) == sorted({str(t.schema) for t in metadata.tables.values()} - {"ops"})
    for schema, name in owners.items():
        module = importlib.import_module(f"{domains.__name__}.{name}.tables")
        tables = [one for one in vars(module).values() if isinstance(one, sa.Table)]
        assert {table.schema for table in tables} == {schema}


@pytest.mark.parametrize(
    ("statement", "uses"),
    [
        ("select 1 from crm.contacts as c join ops.zones on true", {"reads crm", "reads ops"}),
        ("select * from only analytics.hourly_events", {"reads analytics"}),
        ("select lifecycle.mark_days(array[now()])", {"reads lifecycle"}),
        ("insert into delivery.messages select from crm.users", {"writes delivery", "reads crm"}),
        ("delete from segments.memberships using crm.users", {"writes segments", "reads crm"}),
        ("update crm.contacts set email = null -- from ops.zones", {"writes crm"}),
        ("update contacts set segments.rule = 'from crm'", set()),
    ],
)
def test_the_scan_tells_reading_from_writing(statement: str, uses: set[str]) -> None:
    assert {f"{use} {schema}" for use, schema in uses_of_statement(statement)} == uses


def test_the_scan_sees_tables_that_code_names(tmp_path: Path) -> None:
    file = tmp_path / "naming_tables.py"
    file.write_text(
        "import sqlalchemy as sa\n"
        "from marketing_pipelines.domains.crm import tables as crm\n"
        "from marketing_pipelines.domains.delivery.tables import messages\n"
        "from marketing_pipelines.stores.tables import job_sessions\n"
        "statement = sa.delete(messages).where(messages.c.id.in_(sa.select(crm.users.c.id)))\n"
        "named = 'lifecycle.steps'\n"
        "def write(connection, replace_rows):\n"
        "    replace_rows(connection, job_sessions)\n"
    )
    spec = importlib.util.spec_from_file_location("naming_tables", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert {f"{use} {schema}" for use, schema in uses_of_module(module)} == {
        "writes delivery",
        "reads delivery",
        "reads crm",
        "reads lifecycle",
        "writes ops",
    }
