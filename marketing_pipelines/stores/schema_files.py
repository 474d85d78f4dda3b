"""The functions, views, triggers, rights and comments of this release, one file each in `schema/`.

Migrations build tables and change rows. Everything else of the schema has no rows of its own, so
its present state is enough: after the migrations, in the same transaction, `apply` runs the files
whose text differs from the one that the database has, and the files whose object a migration
dropped. Each runs after the files that it names. Nothing is dropped here: that is for a migration
to do.
"""

import graphlib
import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.locations import PACKAGE
from marketing_pipelines.stores.postgres import raw_cursor
from marketing_pipelines.stores.tables import schema_files

FOLDER = PACKAGE / "schema"
OBJECTS = ("functions", "views", "triggers")

_EXISTING = sa.text("""
    select 'functions/' || nspname || '/' || proname || '.sql' as path
    from pg_proc
    join pg_namespace on pg_namespace.oid = pronamespace
    union
    select 'views/' || schemaname || '/' || viewname || '.sql' from pg_views
    union
    select 'triggers/' || nspname || '/' || relname || '.' || tgname || '.sql'
    from pg_trigger
    join pg_class on pg_class.oid = tgrelid
    join pg_namespace on pg_namespace.oid = relnamespace
    where not tgisinternal and tgparentid = 0
""")
# Columns of views, each with the comment of the table's column of the same name, if it has one.
_VIEW_COLUMNS = sa.text("""
    select namespace.nspname as schema, view.relname as view, attribute.attname as column,
           origin.comment
    from pg_class as view
    join pg_namespace as namespace on namespace.oid = view.relnamespace
    join pg_attribute as attribute on attribute.attrelid = view.oid and attribute.attnum > 0
    join lateral (
        select col_description(source.attrelid, source.attnum) as comment
        from pg_rewrite as rule
        join pg_depend as dependency
            on dependency.classid = 'pg_rewrite'::regclass and dependency.objid = rule.oid
            and dependency.refclassid = 'pg_class'::regclass
        join pg_attribute as source
            on source.attrelid = dependency.refobjid and source.attnum = dependency.refobjsubid
        where rule.ev_class = view.oid and dependency.refobjid <> view.oid
            and source.attname = attribute.attname
        order by dependency.refobjid::regclass::text
        limit 1
    ) as origin on origin.comment is not null
    where view.relkind = 'v' and namespace.nspname = any(:schemas)
    order by 1, 2, attribute.attnum
""")
_OWN_COMMENT = re.compile(r"comment on column ([\w.]+) is")


@cache
def files() -> Mapping[str, str]:
    """The text of each file by its path in `schema/`, e.g. `views/lifecycle/programs.sql`."""
    return {
        file.relative_to(FOLDER).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted(FOLDER.rglob("*.sql"))
    }


def are_applied(connection: sa.Connection) -> bool:
    """Returns true if the database holds these files, or the files of a newer release."""
    rows = connection.execute(sa.select(schema_files)).all()
    connection.rollback()
    if any(_numbers(row.release) > _numbers(_release()) for row in rows):
        return True
    return {row.path: row.sha256 for row in rows} == _digests()


def apply(connection: sa.Connection) -> None:
    """Brings functions, views, triggers, rights and comments to the state of this release."""
    rows = connection.execute(sa.select(schema_files)).all()
    stored = {row.path: row.sha256 for row in rows}
    existing = set(connection.execute(_EXISTING).scalars())
    digests = _digests()
    with raw_cursor(connection) as cursor:
        for path in _in_order():
            if stored.get(path) != digests[path] or path not in existing:
                _run(cursor, path)
        # A view made anew has neither rights nor comments; giving them again disturbs no reader.
        for path in files():
            if not path.startswith(OBJECTS):
                _run(cursor, path)
    _describe_view_columns(connection)
    connection.execute(sa.delete(schema_files))
    connection.execute(
        pg.insert(schema_files),
        [
            {"path": path, "sha256": digest, "release": _release()}
            for path, digest in sorted(digests.items())
        ],
    )


def _run(cursor: psycopg.Cursor[Any], path: str) -> None:
    try:
        cursor.execute(files()[path].encode())
    except psycopg.ProgrammingError as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(f"schema/{path} cannot be applied: {reason}.") from error


def _describe_view_columns(connection: sa.Connection) -> None:
    """A column of a view that its file does not describe has the comment of the table's column."""
    texts = files()
    own = {name for text in texts.values() for name in _OWN_COMMENT.findall(text)}
    schemas = sorted({path.split("/")[1] for path in texts if path.startswith("views/")})
    with raw_cursor(connection) as cursor:
        for row in connection.execute(_VIEW_COLUMNS, {"schemas": schemas}).all():
            names = (row.schema, row.view, row.column)
            if ".".join(names) not in own:
                statement = sql.SQL("comment on column {} is {}")
                cursor.execute(statement.format(sql.Identifier(*names), sql.Literal(row.comment)))


def _in_order() -> Iterable[str]:
    """The files of objects, each after the files whose objects it names."""
    texts = {path: text for path, text in files().items() if path.startswith(OBJECTS)}
    paths = {".".join(path[: -len(".sql")].split("/")[1:]): path for path in texts}
    named = re.compile(rf"\b({'|'.join(map(re.escape, paths))})\b")
    needs = {
        path: {paths[name] for name in named.findall(re.sub("--.*", "", text))} - {path}
        for path, text in texts.items()
    }
    return graphlib.TopologicalSorter(needs).static_order()


@cache
def _digests() -> Mapping[str, str]:
    return {path: hashlib.sha256(text.encode()).hexdigest() for path, text in files().items()}


@cache
def _release() -> str:
    return version("marketing-pipelines")


def _numbers(release: str) -> tuple[int, ...]:
    """The numbers of a release. Its candidates have the same ones: they are not newer than it."""
    leading = re.match(r"[\d.]*", release)
    return tuple(int(number) for number in re.findall(r"\d+", leading[0] if leading else ""))
