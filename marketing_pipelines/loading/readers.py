"""The one way to read an input file: CSV, JSON lines or Parquet."""

from pathlib import Path

from marketing_pipelines.loading.batches import Reader
from marketing_pipelines.loading.files import inspect


def open_reader(path: Path, required: tuple[str, ...]) -> Reader:
    """Looks at a file and its header.

    Args:
        required: columns without which a file with a header is refused.

    Raises:
        BadInputError: the file as a whole cannot be used; the sentence names it and says why.
    """
    from marketing_pipelines.loading.csv_files import CsvReader
    from marketing_pipelines.loading.json_files import JsonLinesReader
    from marketing_pipelines.loading.parquet_files import ParquetReader

    source = inspect(path)
    if source.format == "parquet":
        return ParquetReader(source, required)
    if source.format == "json lines":
        return JsonLinesReader(source)
    return CsvReader(source, required)
