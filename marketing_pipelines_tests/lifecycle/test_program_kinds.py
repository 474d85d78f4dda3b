"""The step engine knows kinds of program by `ProgramKind` alone, and says once what is due."""

from importlib import resources
from pathlib import Path

import marketing_pipelines.domains.lifecycle
from marketing_pipelines.domains import load_jobs, load_tables
from marketing_pipelines.domains.lifecycle.program_kinds import declared
from marketing_pipelines.domains.lifecycle.programs import read_sql
from marketing_pipelines.domains.lifecycle.tables import KINDS
from marketing_pipelines.registry import jobs

FOLDER = Path(marketing_pipelines.domains.lifecycle.__file__).parent


def test_the_database_knows_every_kind_that_a_domain_declares() -> None:
    load_tables()
    assert sorted(declared()) == sorted(KINDS)


def test_each_kind_is_moved_by_a_job_that_exists() -> None:
    load_jobs()
    assert {kind.moved_by for kind in declared().values()} <= jobs().keys()


def test_the_engine_names_no_table_of_programs_and_asks_for_no_kind() -> None:
    load_tables()
    tables = [kind.table.fullname for kind in declared().values()]
    questions = [f'== "{name}"' for name in declared()] + [f'!= "{name}"' for name in declared()]
    for path in [*FOLDER.rglob("*.py"), *FOLDER.rglob("*.sql")]:
        text = path.read_text()
        assert [word for word in [*tables, *questions] if word in text] == [], path


def test_due_is_defined_once() -> None:
    statements = resources.files(marketing_pipelines.domains.lifecycle).joinpath("sql")
    texts = {one.name: one.read_text() for one in statements.iterdir()}
    assert sum("is_due(" in text for text in texts.values()) > 10
    assert [name for name, text in texts.items() if "next_step_at <= :tick" in text] == []
    assert (
        "where step.type = :type and (batch.status = 'active' and batch.next_step_at <= :tick)"
        in str(read_sql("due_steps"))
    )
