"""The time that a test run spends in set-up, calls and tear-down, summed over all workers."""

from collections import Counter
from typing import Any


class Phases:
    """Adds up the phases of all tests and prints them at the end of the run."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.files: dict[str, Counter[str]] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Adds one phase of one test; under xdist the reports of all workers arrive here."""
        self.seconds[report.when] += report.duration
        file = report.nodeid.split("::")[0]
        self.files.setdefault(file, Counter())[report.when] += report.duration

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Prints the sums, and the ten files that take longest."""
        terminalreporter.section("phases, summed over workers")
        terminalreporter.write_line(_line(self.seconds, "all tests"))
        longest = sorted(self.files.items(), key=lambda item: -item[1].total())
        for file, seconds in longest[:10]:
            terminalreporter.write_line(_line(seconds, file))


def _line(seconds: Counter[str], name: str) -> str:
    parts = " ".join(f"{phase} {seconds[phase]:7.1f} s" for phase in ("setup", "call", "teardown"))
    return f"{seconds.total():8.1f} s = {parts}  {name}"
