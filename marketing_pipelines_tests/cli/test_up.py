"""What `up` refuses before it starts anything."""

import fcntl
import ipaddress
import signal
import socket

import pytest

from marketing_pipelines.cli.supervision import mark, marked
from marketing_pipelines.cli.up import address
from marketing_pipelines_tests.cli.console import call, call_here, refusal_here
from marketing_pipelines_tests.faults.running import sleeping
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.waiting import until


def test_a_second_up_on_the_same_folder_is_refused(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = installation.settings.data_dir
    with (folder / "up.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        sentence = refusal_here(capsys, "up", "--port", "65000")
    assert sentence.startswith(f"`up` keeps {folder} running already")


def test_a_new_up_first_ends_what_a_killed_one_left(installation: Installation) -> None:
    left_over = mark(installation.settings.data_dir, "an-up-that-was-killed")
    with sleeping(left_over) as left, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        until(lambda: marked(installation.settings.data_dir), what="the process to start")
        refused = call_here("up", "--port", str(port))
        assert left.wait(30) == -signal.SIGTERM
    assert refused.stdout == "up: 1 processes of an `up` that was killed are ended\n"
    assert refused.stderr.startswith(f"marketing-pipelines: Port {port} on 127.0.0.1 cannot be")


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
