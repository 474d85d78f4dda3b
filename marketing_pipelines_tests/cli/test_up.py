"""What `up` refuses before it starts anything."""

import fcntl

import pytest

from marketing_pipelines_tests.cli.console import call, refusal_here
from marketing_pipelines_tests.installation import Installation


def test_a_second_up_on_the_same_folder_is_refused(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = installation.settings.data_dir
    with (folder / "up.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        sentence = refusal_here(capsys, "up", "--port", "65000")
    assert sentence.startswith(f"`up` keeps {folder} running already")


def test_a_port_that_cannot_be_is_wrong_usage(installation: Installation) -> None:
    done = call("up", "--port", "99999")
    assert done.returncode == 2
    assert "65535" in done.stderr
