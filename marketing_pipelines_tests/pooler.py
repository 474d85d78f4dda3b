"""PgBouncer in front of the tests' server."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from marketing_pipelines_tests.waiting import until

PORT = 6432  # of the name of its Unix socket
# The settings that docs/operations.md names; startup options are dropped.
SESSION = """
pool_mode = session
server_reset_query = DISCARD ALL
ignore_startup_parameters = extra_float_digits, options
default_pool_size = 40
"""
TRANSACTION = SESSION.replace("pool_mode = session", "pool_mode = transaction")
IN_TURN = TRANSACTION + "server_round_robin = 1\nmin_pool_size = 3\n"


@contextlib.contextmanager
def pooled(url: str, settings: str, user: str = "marketing") -> Iterator[str]:
    """The URL of the database through a PgBouncer with these settings."""
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    direct = make_url(url)
    host = Path(str(direct.query["host"]))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        configuration = Path(folder) / "pgbouncer.ini"
        configuration.write_text(
            f"[databases]\n{direct.database} = host={host} user={user}\n"
            f"[pgbouncer]\nlisten_addr =\nlisten_port = {PORT}\n"
            f"unix_socket_dir = {folder}\nauth_type = any\n{settings}"
        )
        # Commands that ran in this process may have left it a private umask.
        configuration.chmod(0o644)
        log = Path(folder) / "log"
        with log.open("w") as written:
            process = subprocess.Popen(
                [program, str(configuration)],
                stderr=written,
                user=host.owner() if os.geteuid() == 0 else None,
            )
        try:
            until(lambda: _answers(Path(folder)) or process.poll() is not None, what="pgbouncer")
            assert process.poll() is None, f"pgbouncer ended: {log.read_text()}"
            yield f"postgresql://{user}@/{direct.database}?host={folder}&port={PORT}"
        finally:
            process.terminate()
            process.wait(60)


def _answers(folder: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / f".s.PGSQL.{PORT}"))
        return True
    return False
