"""An external server as the page for operators has it: a role without superuser migrates."""

import contextlib
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.embedded import EmbeddedPostgres
from marketing_pipelines.stores.postgres import create_engine
from marketing_pipelines.stores.schema import functions_open_to_reader, migrate

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators.md"


@pytest.fixture
def role_and_database(server: EmbeddedPostgres) -> Iterator[tuple[str, str]]:
    """A role with the rights that the page names, and an empty database of its own."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        role, database = (f"{kind}_{uuid.uuid4().hex[:12]}" for kind in ("role", "test"))
        connection.execute(f"create role {role} login createrole")
        # As if it had made the reader, which other databases of this server share.
        connection.execute(f"grant marketing_reader to {role} with admin option")
        connection.execute(f"create database {database} owner {role}")
        try:
            yield role, database
        finally:
            connection.execute(f"drop database {database} with (force)")
            connection.execute(f"drop role {role}")


def statements_for_a_superuser(role: str) -> str:
    [block] = re.findall(r"```sql\n(do .*?)```", PAGE.read_text(), re.DOTALL)
    return block.replace("to marketing'", f"to {role}'")


@contextlib.contextmanager
def as_reader(server: EmbeddedPostgres, database: str) -> Iterator[sa.Connection]:
    engine = create_engine(sa.make_url(server.url(database, user="marketing_reader")))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_the_documented_role_migrates_and_a_superuser_takes_the_other_rights(
    server: EmbeddedPostgres, role_and_database: tuple[str, str]
) -> None:
    role, database = role_and_database
    migrate(sa.make_url(server.url(database, user=role)), Settings())
    with as_reader(server, database) as reader:
        left = functions_open_to_reader(reader)
    assert {"pg_advisory_lock", "pg_notify", "lo_create", "pg_cancel_backend"} <= set(left)
    with psycopg.connect(server.url(database), autocommit=True) as superuser:
        superuser.execute(statements_for_a_superuser(role))
        [(imports,)] = superuser.execute(
            f"select has_function_privilege('{role}', 'lo_import(text)', 'execute')"
        )
        assert imports is False, "it reads files of the server"
    with as_reader(server, database) as reader:
        assert functions_open_to_reader(reader) == []
    with psycopg.connect(server.url(database, user=role), autocommit=True) as owner:
        assert owner.execute("select pg_try_advisory_lock(1)").fetchone() == (True,)


def test_a_superuser_takes_the_rights_by_migrating(
    server: EmbeddedPostgres, engine: sa.Engine
) -> None:
    with as_reader(server, str(engine.url.database)) as reader:
        assert functions_open_to_reader(reader) == []
