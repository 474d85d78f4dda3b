"""What `up` refuses before it starts anything."""

import fcntl
import ipaddress

import pytest

from marketing_pipelines.cli.up import address
from marketing_pipelines_tests.cli.console import call, call_here, refusal_here
from marketing_pipelines_tests.installation import Installation


def test_a_second_up_on_the_same_folder_is_refused(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = installation.settings.data_dir
    with (folder / "up.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        sentence = refusal_here(capsys, "up", "--port", "65000")
    assert sentence.startswith(f"`up` keeps {folder} running already")


def test_a_variable_that_is_no_setting_is_named_with_the_nearest_one(
    installation: Installation,
) -> None:
    with (installation.settings.data_dir / "up.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        printed = call_here("up", "--port", "65000", MARKETING_ALERT_URL="json://127.0.0.1:1")
    assert printed.stdout == (
        "up: MARKETING_ALERT_URL is no setting of this release: did you mean"
        " MARKETING_ALERT_URLS?\n"
    )


def test_a_port_that_cannot_be_is_wrong_usage(installation: Installation) -> None:
    done = call("up", "--port", "99999")
    assert done.returncode == 2
    assert "65535" in done.stderr


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:3000"),
        (str(ipaddress.IPv4Address(0)), "http://127.0.0.1:3000"),
        ("::", "http://[::1]:3000"),
        ("fd00::7", "http://[fd00::7]:3000"),
        ("desk.example.org", "http://desk.example.org:3000"),
    ],
)
def test_the_address_that_is_shown_and_sent_can_be_opened(host: str, url: str) -> None:
    assert address(host, 3000) == url
