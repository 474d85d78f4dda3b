"""Each mistake of a user ends in one sentence, exit code 1, and nothing half-written."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from marketing_pipelines_tests import given_program
from marketing_pipelines_tests.cli.console import (
    call,
    call_here,
    only_sentence,
    refusal,
    refusal_here,
)
from marketing_pipelines_tests.few_partitions import FIRST_DAY
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.naive import assert_counted, event
from marketing_pipelines_tests.scale import soak_only
from marketing_pipelines_tests.waiting import until

DAYS = "analytics/event_aggregates"
HOURS = "analytics/contact_activity"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["analytics/event_agregates"], "did you mean analytics/event_aggregates?"),
        (["nothing/like/it"], "There is no job 'nothing/like/it'"),
        ([DAYS, "--partition", "2026-02-30"], "'2026-02-30' is not a partition: days look like"),
        ([DAYS, "--partition", "2026-3-1"], "'2026-3-1' is not a partition"),
        ([DAYS, "--partition", "2999-01-01"], "2999-01-01 is not a partition of"),
        ([DAYS, "--partition", "2014-12-31"], f"they run from {FIRST_DAY} to"),
        ([HOURS, "--partition", "2026-03-01-25:00"], "'2026-03-01-25:00' is not a partition"),
        ([HOURS, "--partition", "2026-03-01"], "hours look like 2026-03-01-13:00 (UTC)"),
        ([HOURS, "--partition", "2014-12-30-23:00"], "is not a partition of"),
        (["analytics/monthly_usage", "--partition", "2026-03-02"], "months look like"),
        (["analytics/warehouse", "--partition", "2026-03-01"], "has no partitions"),
        (["analytics/warehouse", "--to", "2026-03-01"], "has no partitions"),
        ([DAYS, "--partition", "2026-03-01", "--at", "2999-01-01T00:00:00"], "lies in the future"),
        ([DAYS], "say which with --partition"),
        ([DAYS, "--from", "2026-03-01"], "say which with --to"),
        ([DAYS, "--to", "2026-03-01"], "say which with --from"),
        ([DAYS, "--from", "2026-03-02", "--to", "2026-03-01"], "lies after --to"),
        (
            [DAYS, "--partition", "2026-03-05", "--from", "2026-03-01", "--to", "2026-03-02"],
            "--partition",
        ),
    ],
)
def test_a_run_that_cannot_be(
    installation: Installation,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    assert sentence in refusal_here(capsys, "run", *arguments)
    assert installation.rows("select count(*) from ops.job_sessions") == [(0,)]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("MARKETING_TIMEZONE", "Mars/Olympus", "MARKETING_TIMEZONE cannot be used: 'Mars/Olympus'"),
        ("MARKETING_TIMEZONE", "", "MARKETING_TIMEZONE cannot be used"),
        ("MARKETING_PUBLIC_URL", "example.org", "MARKETING_PUBLIC_URL cannot be used: it does not"),
        ("MARKETING_ENGINE", "x", "MARKETING_ENGINE cannot be used"),
        ("MARKETING_ENV", "prod", "MARKETING_ENV cannot be used"),
        ("MARKETING_FIRST_DAY", "yesterday", "MARKETING_FIRST_DAY cannot be used"),
        ("MARKETING_FIRST_DAY", "2026-03-15", "2026-03-15 is not the first of a month"),
        ("MARKETING_DATABASE_URL", "mysql://x/y", "MARKETING_DATABASE_URL must look like"),
        ("MARKETING_DATABASE_URL", "nonsense", "MARKETING_DATABASE_URL must look like"),
    ],
)
def test_a_setting_that_cannot_be(
    environment: dict[str, str], name: str, value: str, sentence: str
) -> None:
    assert sentence in refusal("query", "select 1", **{name: value})


def test_a_database_that_refuses_the_connection(environment: dict[str, str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        url = f"postgresql://marketing:secret@127.0.0.1:{port}/marketing"
        sentence = refusal("query", "select 1", MARKETING_DATABASE_URL=url)
    assert "does not answer" in sentence
    assert "check MARKETING_DATABASE_URL" in sentence
    assert "secret" not in sentence


def test_a_database_that_does_not_exist(environment: dict[str, str]) -> None:
    url = environment["MARKETING_DATABASE_URL"].replace("/test_", "/no_such_")
    assert "does not exist" in refusal("query", "select 1", MARKETING_DATABASE_URL=url)


def test_a_lake_that_cannot_be_written_stops_the_run_and_it_succeeds_later(
    installation: Installation, tmp_path: Path
) -> None:
    rows = [event(1, "2026-03-01T10:00:00Z")]
    installation.load_events(tmp_path, rows)
    lake = tmp_path / "lake"
    lake.write_text("a file where the folder should be")
    command = ("run", HOURS, "--partition", "2026-03-01-10:00")
    refused = call_here(*command, MARKETING_LAKE_URL=str(lake))
    assert refused.returncode == 1
    assert f"The event lake at {lake} cannot be written" in only_sentence(refused.stderr)
    assert installation.rows("select count(*) from analytics.lake_hours") == [(0,)]
    assert lake.read_text() == "a file where the folder should be"
    lake.unlink()
    done = call_here(*command, MARKETING_LAKE_URL=str(lake))
    assert done.returncode == 0, done.stderr
    assert installation.rows("select rows from analytics.lake_hours") == [(1,)]


@pytest.mark.soak
@soak_only
def test_a_full_disk_stops_the_run_and_space_lets_it_succeed(
    installation: Installation, tmp_path: Path
) -> None:
    lake = tmp_path / "small"
    lake.mkdir()
    mounted = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(lake)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        rows = [
            event(
                n,
                "2026-03-01T10:00:00Z",
                contact_id=f"c{n}",
                properties={"n": os.urandom(200).hex()},
            )
            for n in range(2000)
        ]
        installation.load_events(tmp_path, rows)
        arguments = ("run", DAYS, "--partition", "2026-03-01")
        sentence = refusal(*arguments, MARKETING_LAKE_URL=str(lake))
        assert f"The event lake at {lake} cannot be written" in sentence
        assert "free space" in sentence
        assert installation.rows("select count(*) from analytics.event_aggregates") == [(0,)]
        assert [path.name for path in lake.rglob("*") if path.is_file()] == ["installation"]
        subprocess.run(["/bin/mount", "-o", "remount,size=16m", str(lake)], check=True)
        done = call(*arguments, MARKETING_LAKE_URL=str(lake))
        assert done.returncode == 0, done.stderr
        assert installation.rows("select event_count from analytics.daily_events") == [(2000,)]
    finally:
        subprocess.run(["/bin/umount", str(lake)], check=True)


@pytest.mark.soak
@soak_only
def test_another_zone_is_refused_until_everything_is_counted_anew(
    installation: Installation, tmp_path: Path
) -> None:
    rows = [
        event(1, "2026-03-01T04:59:00Z"),
        event(2, "2026-03-01T05:00:00Z", contact_id="c2"),
        event(3, "2026-03-08T23:30:00Z"),
    ]
    installation.load_events(tmp_path, rows)
    installation.run_marked()
    assert_counted(installation, rows)
    before = installation.fingerprints()
    zone = {"MARKETING_TIMEZONE": "America/New_York"}
    arguments = ("run", DAYS, "--from", "2026-02-28", "--to", "2026-03-10")
    sentence = refusal(*arguments, **zone)
    assert "MARKETING_TIMEZONE is America/New_York but the stored days are those of UTC" in sentence
    assert "migrate --rebuild" in sentence
    assert installation.fingerprints() == before
    done = call("migrate", "--rebuild", **zone)
    assert done.returncode == 0, done.stderr
    given_program.printed(RUN_MARKED, **zone)
    assert_counted(installation, rows, "America/New_York")
    assert "but the stored days are those of America/New_York" in refusal(*arguments)


RUN_MARKED = """
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines_tests.installation import Installation
settings = get_settings()
with Installation.open(settings, create_engine(database_url(settings))) as installation:
    installation.run_marked()
"""


def test_a_server_that_is_too_old(environment: dict[str, str]) -> None:
    """PostgreSQL 14 or older, where its binaries are on this machine."""
    binaries = [
        folder
        for version in (14, 13, 12, 11, 10)
        for folder in (Path(f"/usr/lib/postgresql/{version}/bin"), Path(f"/opt/pg{version}/bin"))
        if (folder / "initdb").exists()
    ]
    if not binaries:
        pytest.skip("no PostgreSQL older than 15 is installed")
    with old_server(binaries[0]) as url:
        sentence = refusal("query", "select 1", MARKETING_DATABASE_URL=url)
        assert "version 15 or newer is needed" in sentence
        with psycopg.connect(url) as connection:
            assert connection.execute("select to_regnamespace('analytics')").fetchone() == (None,)


@contextlib.contextmanager
def old_server(binaries: Path) -> Iterator[str]:
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory() as folder:
        if user:
            shutil.chown(folder, user)
        data = Path(folder) / "data"
        initdb = [binaries / "initdb", "-D", data, "-U", "marketing", "-A", "trust"]
        subprocess.run(initdb, check=True, capture_output=True, user=user)
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses="],
            stderr=subprocess.DEVNULL,
            user=user,
        )
        try:
            url = f"postgresql://marketing@/postgres?host={folder}"
            until(lambda: connects(url), what="the old server")
            yield url
        finally:
            process.terminate()
            process.wait(60)


def connects(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url):
        return True
    return False
