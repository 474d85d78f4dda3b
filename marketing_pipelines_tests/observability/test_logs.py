"""Logs: JSON lines where they are piped, text on a terminal, from the level that is set."""

import json
import os
import pty
import subprocess

import pytest

from marketing_pipelines_tests import given_program

PROGRAM = """
import logging
import structlog
from marketing_pipelines.observability import logs

logs.configure()
logs.configure()
logger = logging.getLogger("marketing_pipelines.domains.leads")
with structlog.contextvars.bound_contextvars(job="leads/scores", organization="acme"):
    logger.info("Scored %s contacts.", 7, extra={"rows": 7})
    try:
        raise ValueError("token=abcdef")
    except ValueError:
        logger.exception("One was left out.")
"""


def run(level: str, stderr: int = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
    done = given_program.run(PROGRAM, stderr=stderr, MARKETING_LOG_LEVEL=level)
    done.check_returncode()
    return done


def test_piped_a_line_is_one_json_object_with_what_is_bound_around_it(
    environment: dict[str, str],
) -> None:
    scored, import_errors = (json.loads(line) for line in run("info").stderr.splitlines())
    assert scored.pop("at").endswith("Z")
    assert scored == {
        "event": "Scored 7 contacts.",
        "level": "info",
        "logger": "marketing_pipelines.domains.leads",
        "job": "leads/scores",
        "organization": "acme",
        "rows": 7,
    }
    assert import_errors["level"] == "error"
    assert "ValueError: token=…" in import_errors["exception"]


@pytest.mark.parametrize(("level", "lines"), [("debug", 2), ("info", 2), ("warning", 1)])
def test_what_lies_below_the_level_is_left_out(
    environment: dict[str, str], level: str, lines: int
) -> None:
    assert len(run(level).stderr.splitlines()) == lines


def test_on_a_terminal_it_is_text_for_people(environment: dict[str, str]) -> None:
    terminal, other_end = pty.openpty()
    run("info", stderr=other_end)
    os.close(other_end)
    text = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert "Scored 7 contacts." in text
    assert "organization" in text
    assert not text.startswith("{")
    assert "abcdef" not in text
