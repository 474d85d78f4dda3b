"""The command line of the benchmarks."""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from marketing_pipelines_tests.benchmarks.measures import MEASURES, Bench
from marketing_pipelines_tests.benchmarks.report import Report
from marketing_pipelines_tests.benchmarks.sites import Server


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000, help="size of the history")
    parser.add_argument(
        "--messages", type=int, default=200_000, help="queued messages, and as many settled ones"
    )
    parser.add_argument("--contacts", type=int, default=1_000_000, help="contacts with scores")
    parser.add_argument("--repeat", type=int, default=3, help="how often each is measured")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=MEASURES,
        metavar="NAME",
        default=[*MEASURES],
        help=f"some of: {', '.join(MEASURES)}",
    )
    parser.add_argument("--folder", type=Path, help="keeps the generated files for the next time")
    parser.add_argument("--json", type=Path, help="file for every single number")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is removed
    report = Report()
    with tempfile.TemporaryDirectory(prefix="marketing-benchmark-files-") as temporary:
        folder = options.folder or Path(temporary)
        with Server.running() as server:
            bench = Bench(
                server,
                report,
                folder,
                options.events,
                options.repeat,
                options.messages,
                options.contacts,
            )
            for name in options.only:
                report.say(f"{name}: {MEASURES[name].__doc__ or ''}".rstrip())
                MEASURES[name](bench)
                if options.json:
                    report.write(options.json, options.events)
    report.print()


if __name__ == "__main__":
    main()
