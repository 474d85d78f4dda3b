"""The engine that the settings choose."""

from typing import Any

from marketing_pipelines.engines.protocol import Engine
from marketing_pipelines.settings import Settings


def open_engine(settings: Settings, filesystem: Any = None) -> Engine:
    """The configured engine, which connects at its first query.

    Args:
        filesystem: fsspec's client of a lake that is not on a local disk; DuckDB reads through it.
    """
    if settings.engine == "spark":
        from marketing_pipelines.engines.spark_engine import SparkEngine

        return SparkEngine(settings.spark_remote)
    from marketing_pipelines.engines.duckdb_engine import DuckDBEngine

    return DuckDBEngine(settings.spill_folder, filesystem)
