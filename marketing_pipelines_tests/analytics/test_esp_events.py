"""The sample of real e-mail events, from the file to every aggregate, cell by cell."""

import gzip
import random
from pathlib import Path

from marketing_pipelines_tests.analytics import esp
from marketing_pipelines_tests.installation import Installation


def test_every_aggregate_equals_the_expected_cells_and_a_second_time_changes_nothing(
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


def test_five_shuffled_files_with_runs_in_between_give_the_same(
    installation: Installation, shared_data: Path, tmp_path: Path
) -> None:
    with gzip.open(shared_data / esp.FILE, "rt", newline="") as file:
        header, *lines = file.readlines()
    random.Random(7).shuffle(lines)
    for part in range(5):
        path = tmp_path / f"part-{part}.csv"
        path.write_text(header + "".join(lines[part::5]))
        installation.load("events", path)
        # What marks of two files at once become is seen, too.
        if part % 2 == 0:
            installation.run_marked()
    esp.assert_equal_to_expected(installation, shared_data)
    assert installation.rows("select * from analytics.stale_partitions") == []
