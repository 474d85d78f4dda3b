"""The sample of real e-mail events, from the file to every aggregate, cell by cell."""

import gzip
import random
from pathlib import Path

import pytest

from marketing_pipelines_tests.analytics import esp
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import soak_only


@pytest.mark.soak
@soak_only
def test_every_hour_of_four_years_gives_the_expected_cells_and_a_second_time_the_same(
    installation: Installation, shared_data: Path
) -> None:
    result = installation.load("events", shared_data / esp.FILE)
    assert (result.loaded, result.rejected) == (747, 0)
    esp.run_everything(installation)
    esp.assert_equal_to_expected(installation, shared_data)
    assert installation.rows("select * from analytics.stale_partitions") == []
    once = installation.fingerprints()
    result = installation.load("events", shared_data / esp.FILE)
    assert (result.loaded, result.repeated) == (0, 747)
    esp.run_everything(installation)
    assert installation.fingerprints() == once


@pytest.mark.soak
@soak_only
def test_five_shuffled_files_give_the_expected_cells_and_work_done_again_changes_nothing(
    installation: Installation, shared_data: Path, tmp_path: Path
) -> None:
    with gzip.open(shared_data / esp.FILE, "rt", newline="") as file:
        header, *lines = file.readlines()
    random.Random(7).shuffle(lines)
    for part in range(5):
        path = tmp_path / f"part-{part}.csv"
        path.write_text(header + "".join(lines[part::5]))
        installation.load("events", path)
        # Marks of several files are worked at once, too.
        if part in (1, 4):
            installation.run_marked()
    esp.assert_equal_to_expected(installation, shared_data)
    assert installation.rows("select * from analytics.stale_partitions") == []
    once = installation.fingerprints()
    assert installation.load("events", shared_data / esp.FILE).repeated == 747
    installation.run("analytics/event_aggregates", "2021-03-01", "2021-03-07")
    assert installation.fingerprints() == once
