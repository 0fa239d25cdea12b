"""A real PgBouncer in transaction mode for the tests, in front of their PostgreSQL.

Rules of this file:
- the program is the one of the system: no wheel has it, so `apt-get install pgbouncer` (or another package) brings it,
  or STENT_TEST_PGBOUNCER names it. Only a machine without it skips these tests, and says so; where the variable
  STENT_TEST_PGBOUNCER is set, they fail instead;
- an instance of one's own, on the loopback device and a free port; the installed service is left alone;
- PgBouncer refuses to run as root: then it runs as `nobody`, as the server does;
- few connections to the server, so that clients really share them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.postgres.server import NoServer, as_user, free_port, running

PROGRAM_VARIABLE = "STENT_TEST_PGBOUNCER"
FIX = f"Install PgBouncer (Debian: apt-get install pgbouncer), or set {PROGRAM_VARIABLE} to its program."
SERVER_CONNECTIONS = 3
START_TIMEOUT_S = 20

_CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 200
server_lifetime = 3600
"""


def program() -> str:
    """The path of PgBouncer; the test is skipped where there is none and nobody has promised one."""
    promised = os.environ.get(PROGRAM_VARIABLE)
    found = shutil.which(promised or "pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None and promised is not None:
        raise NoServer(f"{promised} is no program.\n{FIX}")
    if found is None:
        pytest.skip(f"PgBouncer is not installed. {FIX}")
    return found


@contextlib.contextmanager
def pooled() -> Iterator[int]:
    """A pooler in front of the server of this test run; its port."""
    path, server, port = program(), urlsplit(running().url), free_port()
    with tempfile.TemporaryDirectory(prefix="stent-pooler-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # whoever it runs as must find its configuration
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            _CONFIGURATION.format(
                host=server.hostname,
                port=server.port,
                user=server.username,
                password=f" password={server.password}" if server.password else "",
                listen_port=port,
                size=SERVER_CONNECTIONS,
            )
        )
        with (folder / "log").open("w") as log:
            process = subprocess.Popen([path, str(configuration)], stdout=log, stderr=log, cwd=folder, **as_user())
        try:
            _wait_for(port, process, folder / "log")
            yield port
        finally:
            process.terminate()
            process.wait()


def through(port: int, url: str) -> str:
    """The same database, by way of the pooler."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            psycopg.connect(f"postgresql://stent@127.0.0.1:{port}/postgres", connect_timeout=5).close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise NoServer(f"PgBouncer does not start: {error}\n{log.read_text()[-2000:]}") from error
            time.sleep(0.02)
