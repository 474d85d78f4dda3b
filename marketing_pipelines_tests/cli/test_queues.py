"""`queues`, `dead-letters` and `worker` as an operator calls them."""

import json
import re
import subprocess
import sys
import time
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.cli.queues import duration
from marketing_pipelines.failures import BadInputError
from marketing_pipelines_tests.cli.console import call_here, refusal_here, start
from marketing_pipelines_tests.queueing.installed import drain, put, scalar


def printed(*arguments: str) -> Any:
    """The output of the command when it is piped."""
    done = call_here(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout) if done.stdout.startswith(("[", "{")) else done.stdout.strip()


def listed(*arguments: str) -> list[dict[str, str]]:
    """The lines of the table that the command prints when it is piped, by column."""
    header, *lines = printed(*arguments).splitlines()
    starts = [0, *(match.end() for match in re.finditer(r" {2,}", header))]
    columns = list(zip(starts, [*starts[1:], None], strict=True))
    return [{header[a:b].strip(): line[a:b].strip() for a, b in columns} for line in lines]


def test_queues_are_listed_paused_resumed_and_cleaned(queue: sa.Engine) -> None:
    put(queue, "write", 2)
    queues = [
        "activity-log",
        "crm-events",
        "default",
        "send-email",
        "send-push",
        "send-sms",
    ]
    queues.append("workflow-bridge")
    # The domain for tests has some of its own.
    assert [row["queue"] for row in listed("queues", "list") if row["queue"] in queues] == queues
    assert printed("queues", "pause", "default") == "default is paused."
    assert printed("queues", "pause", "default") == "default was paused already."
    [count] = [row for row in listed("queues", "list") if row["queue"] == "default"]
    assert (count["waiting"], count["paused"]) == ("2", "true")
    assert float(count["oldest seconds"]) >= 0
    assert printed("queues", "resume", "default") == "default goes on."
    drain("--queue", "default")
    assert printed("queues", "clean", "default") == "0 finished tasks of default are removed."
    cleaned = printed("queues", "clean", "default", "--older-than", "0s")
    assert cleaned == "2 finished tasks of default are removed."
    assert scalar(queue, "select count(*) from procrastinate_jobs") == 0


def test_dead_letters_are_listed_shown_sent_back_and_discarded(queue: sa.Engine) -> None:
    put(queue, "refuse_early", 3)
    drain("--queue", "default")
    newest, middle, oldest = listed("dead-letters", "list", "--queue", "default")
    assert (newest["state"], newest["error"]) == ("dead", "The address is suppressed.")
    shown = printed("dead-letters", "show", oldest["id"])
    assert shown["payload"]["number"] in (0, 1, 2)
    assert "PermanentError" in shown["traceback"]
    assert printed("dead-letters", "redrive", str(oldest["id"])) == "1 dead letters are sent back."
    assert printed("dead-letters", "redrive", str(oldest["id"])) == "0 dead letters are sent back."
    discarded = printed("dead-letters", "discard", str(middle["id"]))
    assert discarded == "1 dead letters are discarded."
    assert printed("dead-letters", "redrive", "--all") == "1 dead letters are sent back."
    assert listed("dead-letters", "list") == []
    states = [letter["state"] for letter in listed("dead-letters", "list", "--state", "all")]
    assert states == ["redriven", "discarded", "redriven"]


def test_tasks_are_listed_by_pages_shown_and_cancelled(
    queue: sa.Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *rest = put(queue, "write", 5)
    assert [row["id"] for row in listed("queues", "tasks", "default", "--limit", "2")] == [
        str(rest[-1]),
        str(rest[-2]),
    ]
    older = listed("queues", "tasks", "default", "--before", str(rest[0]))
    assert [(row["id"], row["state"]) for row in older] == [(str(first), "waiting")]
    assert printed("queues", "cancel", str(first)) == f"Task {first} is cancelled."
    assert printed("queues", "task", str(first))["state"] == "cancelled"
    refused = refusal_here(capsys, "queues", "cancel", str(first))
    assert refused == f"Task {first} is cancelled: it can be neither cancelled nor done again."
    assert refusal_here(capsys, "queues", "task", "99") == "There is no task 99, or not any more."
    assert listed("queues", "tasks", "--state", "cancelled", "--task", "recording/refuse") == []
    refused = refusal_here(capsys, "queues", "tasks", "--task", "recording/writ")
    assert refused.startswith("There is no task 'recording/writ'; similar: recording/write")


def test_dead_letters_are_sent_back_by_task_error_and_age(queue: sa.Engine) -> None:
    put(queue, "refuse_early", 2)
    drain("--queue", "default")
    assert printed("dead-letters", "redrive", "--task", "x/y") == "0 dead letters are sent back."
    assert printed("dead-letters", "redrive", "--error", "%") == "0 dead letters are sent back."
    with queue.begin() as connection:
        connection.exec_driver_sql(
            "update ops.dead_letters set last_failed_at = now() - interval '2 days' where id = 1"
        )
    chosen = ("--task", "recording/refuse_early", "--error", "SUPPRESSED", "--since", "24h")
    assert [row["id"] for row in listed("dead-letters", "list", *chosen)] == ["2"]
    assert printed("dead-letters", "redrive", *chosen) == "1 dead letters are sent back."


def test_a_worker_starts_at_once_and_says_what_it_works_on(queue: sa.Engine) -> None:
    began = time.monotonic()
    with start("worker", "--queue", "crm-events", "--concurrency", "2") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.monotonic() - began
        process.terminate()
        process.communicate(timeout=60)
    print(f"a worker started in {seconds:.2f} s")
    assert line == "worker: crm-events (2 at once, 5/s over all workers); Ctrl-C stops\n"
    assert process.returncode == 0


def test_what_is_not_there_is_said_in_one_sentence(
    queue: sa.Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        ("queues", "pause", "nothing"),
        ("queues", "resume", "nothing"),
        ("queues", "clean", "nothing"),
        ("dead-letters", "list", "--queue", "nothing"),
        ("dead-letters", "redrive", "--queue", "nothing"),
        ("worker", "--queue", "nothing"),
    ):
        assert refusal_here(capsys, *arguments).startswith("There is no queue 'nothing': name one")
    assert refusal_here(capsys, "dead-letters", "show", "7").startswith(
        "There is no dead letter 7: "
    )
    assert refusal_here(capsys, "dead-letters", "redrive") == (
        "Name the dead letters: numbers, --queue, --task, --error, --since, or --all."
    )
    assert "90s, 30m, 24h or 7d" in refusal_here(
        capsys, "queues", "clean", "default", "--older-than", "1 day"
    )


def test_an_age_is_a_number_and_a_unit() -> None:
    assert [duration(text).total_seconds() for text in ("90s", "30m", "24h", "7d")] == [
        90, 1_800, 86_400, 604_800,
    ]  # fmt: skip
    for text in ("", "7", "d", "-1d", "1w", "1.5h"):
        with pytest.raises(BadInputError):
            duration(text)


def test_a_worker_imports_no_dagster() -> None:
    program = (
        "import sys, marketing_pipelines.cli.main, marketing_pipelines.queueing.workers;"
        "from marketing_pipelines.domains import load_tasks; load_tasks();"
        "print([m for m in ('dagster', 'pandas', 'duckdb', 'alembic') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
