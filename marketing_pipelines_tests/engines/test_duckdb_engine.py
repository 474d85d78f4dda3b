"""DuckDB as the engine: little memory first, then disk, then more memory."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from marketing_pipelines.engines.duckdb_engine import DuckDBEngine

CONTACTS = 3_000_000
PER_TYPE = "SELECT COUNT(DISTINCT contact_id) AS contacts FROM events GROUP BY event_type"
ALL_AT_ONCE = "SELECT len(list(contact_id || '@example.com')) AS contacts FROM events"


@pytest.fixture
def spill_folder(tmp_path: Path) -> Path:
    return tmp_path / "spill"


@pytest.fixture
def engine(spill_folder: Path) -> Iterator[DuckDBEngine]:
    engine = DuckDBEngine(spill_folder)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> str:
    """More contacts than the first limit can hold."""
    file = tmp_path_factory.mktemp("lake") / "events.parquet"
    duckdb.sql(
        f"copy (select 'sent' as event_type, range as contact_id from range({CONTACTS}))"
        f" to '{file}' (format parquet)"
    )
    return str(file)


@pytest.mark.parametrize("statement", [PER_TYPE, ALL_AT_ONCE])
def test_what_does_not_fit_into_memory_is_counted_all_the_same(
    engine: DuckDBEngine, events: str, spill_folder: Path, statement: str
) -> None:
    assert engine.query(statement, [events], {})["contacts"].to_pylist() == [CONTACTS]
    engine.close()
    assert [path for path in spill_folder.rglob("*") if path.is_file()] == []


def test_what_a_killed_process_spilled_is_removed(
    engine: DuckDBEngine, events: str, spill_folder: Path
) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1)
    for pid in (int(gone.stdout), os.getppid()):
        (spill_folder / str(pid)).mkdir(parents=True)
        (spill_folder / str(pid) / "left").write_text("rows")
    engine.query(PER_TYPE, [events], {})
    assert [path.parent.name for path in spill_folder.rglob("left")] == [str(os.getppid())]
