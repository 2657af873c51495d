"""PostgreSQL and Redis of Debian's packages, for one test session: on loopback, thrown away.

The system's own services are neither used nor touched.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg2  # type: ignore[import-untyped]
import redis

from devstack.ports import free_port
from devstack.programs import PARENT_DEATH
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

USER = "postgres"  # made by the package; PostgreSQL refuses to run as root
START = 30  # seconds until a server has to answer
STOP = 20

# a session's data need not outlive a power cut
POSTGRES = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = 64MB
fsync = off
full_page_writes = off
synchronous_commit = off
"""
REDIS = """
bind 127.0.0.1
port {port}
requirepass {password}
dir {folder}
save ""
appendonly no
"""


@dataclass(frozen=True)
class Servers:
    """Where they answer: `user:password@host:port/name` and a `redis://` URL."""

    database: str
    broker: str
    folder: Path
    outage: Callable[[], AbstractContextManager[None]]  # PostgreSQL is down for the block

    def processes(self) -> list[str]:
        """Of both servers: every one has its data folder for its working directory."""
        return [
            f"{process.pid} {process.name()}"
            for process in psutil.process_iter()
            if _within(process, self.folder)
        ]


def missing() -> list[str]:
    """The Debian packages that would have to be installed."""
    found = {"postgresql": postgres_folder(), "redis-server": shutil.which("redis-server")}
    return [package for package, path in found.items() if path is None]


def postgres_folder() -> Path | None:
    """Of the newest version's programs; Debian keeps them out of PATH."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(found, key=lambda path: float(path.parts[-3]), default=None)
    return newest.parent if newest else None


@contextmanager
def servers() -> Generator[Servers]:
    """Both, started; at the end they are stopped and their folder is gone."""
    # not below pytest's own folder, which USER may not enter
    folder = Path(tempfile.mkdtemp(prefix="bakehouse-servers-"))
    try:
        folder.chmod(0o711)
        with ExitStack() as running:
            database, outage = running.enter_context(_postgres(folder / "postgres"))
            broker = running.enter_context(_redis(folder / "redis"))
            yield Servers(database, broker, folder, outage)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _postgres(folder: Path) -> Generator[tuple[str, Callable[[], AbstractContextManager[None]]]]:
    programs = postgres_folder()
    assert programs is not None, "PostgreSQL is not installed"
    port, password = free_port(), secrets.token_hex(16)
    folder.mkdir(mode=0o700)
    secret = folder / "password"
    secret.write_text(password, encoding="ascii")
    data = folder / "data"
    if os.geteuid() == 0:
        for path in (folder, secret):
            shutil.chown(path, USER, pwd.getpwnam(USER).pw_gid)
    command = [str(programs / "initdb"), "--pgdata", str(data), "--username", "airflow"]
    command += ["--auth", "scram-sha-256", "--pwfile", str(secret), "--no-sync"]
    command += ["--encoding", "UTF8", "--locale", "C.UTF-8"]
    subprocess.run(_as_user(command), check=True, capture_output=True, cwd=folder)
    with (data / "postgresql.conf").open("a", encoding="ascii") as file:
        file.write(POSTGRES.format(port=port))
    # SIGINT ends the sessions that are open; SIGTERM would wait for them
    command = _as_user([str(programs / "postgres"), "-D", str(data)], "INT")
    url = f"airflow:{password}@127.0.0.1:{port}/postgres"
    with ExitStack() as running:

        def start() -> None:
            running.enter_context(_process(command, folder, "SIGINT"))
            wait_until(lambda: _postgres_answers(url), START, "PostgreSQL to answer")

        @contextmanager
        def outage() -> Generator[None]:
            running.close()
            try:
                yield
            finally:
                start()

        start()
        yield url, outage


@contextmanager
def _redis(folder: Path) -> Generator[str]:
    port, password = free_port(), secrets.token_hex(16)
    folder.mkdir(mode=0o700)
    conf = folder / "redis.conf"
    conf.write_text(REDIS.format(port=port, password=password, folder=folder), encoding="ascii")
    with _process(["redis-server", str(conf)], folder, "SIGTERM"):
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        wait_until(lambda: _redis_answers(url), START, "Redis to answer")
        yield url


def _as_user(command: Sequence[str], at_parents_end: str = "keep") -> list[str]:
    """A change of user makes the kernel forget what to send at the parent's end."""
    if os.geteuid() != 0:
        return list(command)
    change = ["setpriv", "--reuid", USER, "--regid", USER, "--init-groups"]
    return [*change, "--pdeathsig", at_parents_end, "--", *command]


@contextmanager
def _process(command: Sequence[str], folder: Path, ending: str) -> Generator[None]:
    """It ends with this process, however that ends, and with the block."""
    parent_death = [
        sys.executable,
        "-I",
        str(PARENT_DEATH),
        "--parent",
        str(os.getpid()),
        "--signal",
        ending,
    ]
    with (folder / "log").open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            [*parent_death, "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.send_signal(signal.Signals[ending])
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _postgres_answers(url: str) -> bool:
    with suppress(psycopg2.OperationalError):
        psycopg2.connect(f"postgresql://{url}").close()
        return True
    return False


def _redis_answers(url: str) -> bool:
    with suppress(redis.ConnectionError), redis.Redis.from_url(url) as client:
        return bool(client.ping())
    return False


def _within(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder)
    except (psutil.Error, OSError):
        return False
