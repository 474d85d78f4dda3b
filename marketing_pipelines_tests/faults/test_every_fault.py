"""The faults that the project survives, by number; each keeps a test in `make test`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FAULTS = {
    1: "the scheduler is killed at any point of a tick",
    2: "a worker is killed between the claim of a message and the call of its server",
    3: "a worker is killed between the server's answer and its commit",
    4: "two workers start one job in the same second",
    5: "a worker is frozen beyond its lease and wakes up",
    6: "two schedulers work at once",
    7: "PostgreSQL restarts again and again",
    8: "a connection falls silent",
    9: "a deadlock or a serialization failure",
    10: "a job exceeds its time",
    11: "a process dies in the midst of a session",
    12: "a whole page of work that cannot be rescued",
    13: "a task that fails at every attempt of its ladder",
    14: "an error that no attempt mends",
    15: "a task that is put off",
    16: "dead letters that are sent back twice",
    17: "one row of a batch that cannot be done",
    18: "the daemon is off for hours, days or weeks",
    19: "a clock that jumps back or differs from the server's",
    20: "the days on which clocks change",
    21: "a schedule that is edited or switched on",
    22: "work that is done again, also over overlapping times",
    23: "events that come late, twice or out of order",
    24: "events of messages that nobody reported as sent",
    25: "a rebuild of segments among readers, or by a broken rule",
    26: "a contact that leaves and returns",
    27: "a campaign that was just activated and has no contacts",
    28: "an unsubscription between queueing and sending",
    29: "a batch in which no message can go",
    30: "a campaign that is paused, resumed, edited or cancelled while it sends",
    31: "a server that limits, fails or is away",
    32: "a warm-up whose days are closed late or twice",
    33: "scores that run twice for a day or miss days",
    34: "meetings at the bounds of a late run",
    35: "a deal that stays stale for days",
    36: "a receiver of webhooks that fails, is slow or redirects",
    37: "a mailbox that is renumbered, or a synchronization that breaks off",
    38: "two processes that refresh one grant",
    39: "rows of a sheet that are edited, moved or deleted",
    40: "the removal of very many old rows among writers",
    41: "a long range of hours among processes that do single ones",
    42: "a sensor that loses its cursor",
    43: "a worker that gets SIGTERM",
    44: "a trigger by hand during a run, twice, or of no job",
    45: "a segment of very many contacts in little memory",
    46: "metrics that are read during failures",
    47: "secrets near logs, errors and sessions",
    48: "addresses without their secret, and injected text",
}


def test_each_fault_has_a_test_in_make_test() -> None:
    kept = {number for path in TESTS.rglob("test_*.py") for number in _faults_of(path)}
    assert kept == FAULTS.keys()


def _faults_of(path: Path) -> Iterator[int]:
    """The numbers of the faults whose tests in this file run in `make test`."""
    body = ast.parse(path.read_text()).body
    if any(_names(node, "pytestmark") and "soak_only" in ast.unparse(node) for node in body):
        return
    for node in body:
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        # Arguments of other marks may name it: one case of several is for `make soak` alone.
        if not any(ast.unparse(one) == "soak_only" for one in node.decorator_list):
            yield from (number for one in node.decorator_list for number in _numbers(one))


def _names(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name


def _numbers(decorator: ast.expr) -> list[int]:
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fault":
        return [ast.literal_eval(number) for number in decorator.args]
    return []


@pytest.mark.parametrize(
    ("lines", "numbers"),
    [
        (["@pytest.mark.fault(4)"], [4]),
        (["@pytest.mark.fault(4, 6)", "@pytest.mark.soak"], [4, 6]),
        (["@pytest.mark.fault(4)", "@soak_only"], []),
        (["@pytest.mark.fault"], []),
        (["pytestmark = [pytest.mark.soak, soak_only]", "@pytest.mark.fault(4)"], []),
    ],
)
def test_a_test_for_make_soak_alone_keeps_no_fault(
    tmp_path: Path, lines: list[str], numbers: list[int]
) -> None:
    file = tmp_path / "test_sample.py"
    file.write_text("\n".join([*lines, "def test_it(): ..."]))
    assert list(_faults_of(file)) == numbers
