"""Every statement over the lake gives the same cells on DuckDB, on Sail and on Spark."""

import datetime as dt
import importlib.metadata
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pysail.spark import SparkConnectServer

from marketing_pipelines import domains
from marketing_pipelines.engines.duckdb_engine import DuckDBEngine
from marketing_pipelines.engines.protocol import Engine
from marketing_pipelines.engines.spark_engine import SparkEngine
from marketing_pipelines.failures import StoreUnavailableError
from marketing_pipelines_tests.engines.lakes import FIRST_HOUR, write_lake
from marketing_pipelines_tests.scale import SOAK

EVENTS = 10_000_000 if SOAK else 200_000
HOURS = 48
STATEMENTS = {
    path.name: path.read_text()
    for path in Path(domains.__path__[0]).rglob("*.sql")
    if "FROM events" in path.read_text()
}
# The day of a zone that is half an hour off.
START = FIRST_HOUR + dt.timedelta(hours=5, minutes=30)
DAY = {"start": START, "end": START + dt.timedelta(days=1)}
WITHOUT_A_WINDOW = {"count_hours.sql"}
CLUSTER = """
spark.master                local-cluster[2,1,2048]
spark.driver.host           127.0.0.1
spark.driver.bindAddress    127.0.0.1
spark.local.dir             {folder}
spark.worker.cleanup.enabled true
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_lake(tmp_path_factory.mktemp("lake"), EVENTS, HOURS)


@pytest.fixture(scope="module")
def sail() -> Iterator[str]:
    """The address of Sail, which serves Connect without Java."""
    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    host, port = server.listening_address
    yield f"sc://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def on_sail(sail: str) -> Iterator[SparkEngine]:
    engine = SparkEngine(sail)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def on_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkEngine]:
    """Spark with two workers, each a process of its own."""
    if shutil.which("java") is None or importlib.util.find_spec("pyspark.core") is None:
        pytest.skip("Java or the extra `spark` is missing: `make cluster` installs the extra")
    folder = tmp_path_factory.mktemp("spark")
    (folder / "spark-defaults.conf").write_text(CLUSTER.format(folder=folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONF_DIR", str(folder))
        patch.setenv("SPARK_WORKER_DIR", str(folder))
        patch.chdir(folder)
        engine = SparkEngine(None)
        yield engine
        engine.close()


@pytest.fixture(scope="module")
def on_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEngine]:
    engine = DuckDBEngine(tmp_path_factory.mktemp("spill"))
    yield engine
    engine.close()


def cells(engine: Engine, statement: str, files: list[str]) -> tuple[list[str], list[Any]]:
    """The names of the columns, and the rows in one order."""
    parameters = {} if statement in WITHOUT_A_WINDOW else DAY
    table = engine.query(STATEMENTS[statement], files, parameters)
    rows = [tuple(row.values()) for row in table.to_pylist()]
    return table.column_names, sorted(rows, key=repr)


@pytest.mark.soak
@pytest.mark.parametrize("statement", sorted(STATEMENTS))
def test_sail_counts_what_duckdb_counts(
    on_duckdb: DuckDBEngine, on_sail: SparkEngine, files: list[str], statement: str
) -> None:
    names, rows = cells(on_duckdb, statement, files)
    assert len(rows) > 100
    assert cells(on_sail, statement, files) == (names, rows)


@pytest.mark.cluster
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("statement", sorted(STATEMENTS))
def test_a_cluster_counts_what_duckdb_counts(
    on_duckdb: DuckDBEngine, on_cluster: SparkEngine, files: list[str], statement: str
) -> None:
    assert cells(on_cluster, statement, files) == cells(on_duckdb, statement, files)


def test_every_engine_counts_the_same_types(
    on_duckdb: DuckDBEngine, on_sail: SparkEngine, files: list[str]
) -> None:
    for name, statement in STATEMENTS.items():
        parameters = {} if name in WITHOUT_A_WINDOW else DAY
        counted = [
            {field.name: field.type for field in engine.query(statement, files, parameters).schema}
            for engine in (on_duckdb, on_sail)
        ]
        assert counted[0] == counted[1]
        assert pa.float64() not in counted[0].values()


def test_a_missing_file_is_never_counted_as_empty(
    on_sail: SparkEngine, files: list[str], tmp_path: Path
) -> None:
    missing = files[0].replace("hr=00", "hr=77")
    with pytest.raises(StoreUnavailableError) as refused:
        on_sail.query(STATEMENTS["count_span.sql"], [*files[:2], missing], DAY)
    assert str(refused.value) == (
        f"The event lake cannot be read: 1 of 3 files are missing, the first is {missing}."
    )


def test_a_broken_file_is_one_sentence(on_sail: SparkEngine, tmp_path: Path) -> None:
    broken = tmp_path / "events.parquet"
    broken.write_text("no Parquet at all")
    with pytest.raises(StoreUnavailableError, match=r"^Spark cannot count the event lake: .+"):
        on_sail.query(STATEMENTS["count_span.sql"], [str(broken)], DAY)
