"""Ingestions as data: what runs, how far it is, and what came of every file; kept in SQLite."""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.errors import KnowledgeError

State = Literal["running", "done", "failed", "interrupted"]
FileState = Literal["waiting", "stored", "unchanged", "skipped"]
KEPT = 200  # finished jobs kept
PATIENCE_SECONDS = 10.0
_SCHEMA = """
create table if not exists job (
    job_id text primary key, kb text not null, paths text not null, prune integer not null,
    pid integer not null, started text not null, began_at real not null, ended_at real,
    state text not null, done integer not null default 0, total integer not null default 0,
    document text not null default '', outcome text not null default ''
);
create table if not exists job_file (
    job_id text not null, name text not null, state text not null, reason text not null default '',
    primary key (job_id, name)
);
"""


@dataclass(frozen=True, slots=True)
class Ingestion:
    """An ingestion: `done` of `total` documents are stored; times are seconds since 1970."""

    job_id: str
    kb: str
    paths: tuple[str, ...]
    prune: bool
    began_at: float
    ended_at: float | None
    state: State
    done: int
    total: int
    document: str  # the one stored last
    outcome: str  # a sentence, once it ended


@dataclass(frozen=True, slots=True)
class JobFile:
    """What came of one file, page or row of a job."""

    name: str
    state: FileState
    reason: str


class Jobs:
    """The jobs of one data folder; any process may read, each writes its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, kb: str, paths: Sequence[str], prune: bool = False) -> str:
        """Note that an ingestion begins in this process; returns the job's id."""
        job_id = uuid.uuid4().hex[:12]
        values = (job_id, kb, json.dumps(list(paths)), prune, os.getpid(), _started(os.getpid()), time.time())
        with self._open(write=True) as database:
            database.execute(
                "insert into job (job_id, kb, paths, prune, pid, started, began_at, state)"
                " values (?, ?, ?, ?, ?, ?, ?, 'running')",
                values,
            )
            database.execute(
                "delete from job where state <> 'running' and job_id not in"
                " (select job_id from job order by began_at desc limit ?)",
                (KEPT,),
            )
            database.execute("delete from job_file where job_id not in (select job_id from job)")
        return job_id

    def progress(self, job_id: str, done: int, total: int, document: str) -> None:
        """Note how far a job is."""
        with self._open(write=True) as database:
            database.execute(
                "update job set done = ?, total = ?, document = ? where job_id = ?",
                (done, total, document, job_id),
            )

    def files(self, job_id: str, files: Iterable[JobFile]) -> None:
        """Note what came of files."""
        rows = [(job_id, file.name, file.state, file.reason) for file in files]
        with self._open(write=True) as database:
            database.executemany("insert or replace into job_file values (?, ?, ?, ?)", rows)

    def end(self, job_id: str, state: State, outcome: str) -> None:
        """Note that a job ended, and how."""
        with self._open(write=True) as database:
            database.execute(
                "update job set state = ?, outcome = ?, ended_at = ? where job_id = ?",
                (state, outcome, time.time(), job_id),
            )

    def list(self, limit: int = 20) -> list[Ingestion]:
        """Return the newest jobs first; one whose process is gone is `interrupted`."""
        with self._open() as database:
            rows = database.execute(
                "select job_id, kb, paths, prune, began_at, ended_at, state, done, total, document, outcome,"
                " pid, started from job order by began_at desc limit ?",
                (limit,),
            ).fetchall()
        return [_job(row) for row in rows]

    def of(self, job_id: str) -> list[JobFile]:
        """Return what came of a job's files, failures first."""
        with self._open() as database:
            rows = database.execute(
                "select name, state, reason from job_file where job_id = ? order by state <> 'skipped', name",
                (job_id,),
            ).fetchall()
        return [JobFile(*row) for row in rows]

    @contextmanager
    def _open(self, write: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._opened(write) as database:
                yield database
        except (sqlite3.Error, OSError) as error:
            raise KnowledgeError(
                f"the list of ingestions {str(self._path)!r} cannot be used ({error}); free some space, or"
                " give this user the right to write there",
                "store_refused",
            ) from error

    @contextmanager
    def _opened(self, write: bool) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._path, timeout=PATIENCE_SECONDS)
        try:
            database.execute("pragma journal_mode = wal")
            database.executescript(_SCHEMA)
            if write:
                database.execute("begin immediate")
            yield database
            database.commit()
        finally:
            database.close()


def _job(row: Sequence[object]) -> Ingestion:
    job_id, kb, paths, prune, began_at, ended_at, state, done, total, document, outcome, pid, started = row
    if state == "running" and _started(int(str(pid))) != started:
        state, outcome = "interrupted", "its process ended; the same command goes on where it stopped"
    return Ingestion(
        job_id=str(job_id),
        kb=str(kb),
        paths=tuple(json.loads(str(paths))),
        prune=bool(prune),
        began_at=float(str(began_at)),
        ended_at=None if ended_at is None else float(str(ended_at)),
        state=state,  # pyright: ignore[reportArgumentType] written by this file alone
        done=int(str(done)),
        total=int(str(total)),
        document=str(document),
        outcome=str(outcome),
    )


def _started(pid: int) -> str:
    """Return when a process began, in ticks, so that a reused number is told apart; "" without one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    except (OSError, IndexError):
        return _alive(pid)


def _alive(pid: int) -> str:
    """Say whether a process lives where there is no /proc."""
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except OSError:
        return ""
    return "alive"
