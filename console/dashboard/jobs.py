"""Eval runs started from the console: processes of their own that outlive a page and a browser."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from traces.ids import uuid7
from traces.processes import born

FOLDER = "console/jobs"  # below the data folder
LOG_BYTES = 4_000
_children: dict[str, subprocess.Popen[bytes]] = {}  # of this console, so that ended ones are waited for
COMMAND = (sys.executable, "-m", "console.cli", "eval", "run")


@dataclass(frozen=True, slots=True)
class Job:
    """A started run; `born` (the process's start in clock ticks) tells a reused process id apart."""

    run_id: str
    pid: int
    born: str | None
    started_at: str
    title: str


def start(
    data_dir: Path,
    evalset: str,
    *,
    prompt: str | None = None,
    model: str | None = None,
    only_retrieval: bool = False,
    limit: int | None = None,
) -> Job:
    """Start `answerdeck eval run` in a process group of its own and remember it."""
    run_id = uuid7()
    arguments = [evalset, "--run", run_id, "--yes", "--json"]
    arguments += ["--only", "retrieval"] if only_retrieval else []
    arguments += ["--prompt", prompt] if prompt and not only_retrieval else []
    arguments += ["--model", model] if model and not only_retrieval else []
    arguments += ["--limit", str(limit)] if limit else []
    title = " · ".join(["retrieval only"] if only_retrieval else [part for part in (prompt, model) if part])
    return launch(data_dir, FOLDER, run_id, [*COMMAND, *arguments], f"{evalset} · {title}")


def launch(data_dir: Path, place: str, key: str, command: list[str], title: str) -> Job:
    """Start a command in a process group of its own and remember it under `place` by its key."""
    folder = data_dir / place
    folder.mkdir(parents=True, exist_ok=True)
    with _log(folder, key).open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "ANSWERDECK_DATA_DIR": str(data_dir.absolute())},
            start_new_session=True,
        )
    _children[key] = process
    job = Job(key, process.pid, born(process.pid), datetime.now(UTC).isoformat(), title)
    _write(folder / f"{key}.json", job)
    return job


def known(data_dir: Path, place: str = FOLDER) -> dict[str, Job]:
    """Return the jobs started from here, by run, newest first."""
    found: dict[str, Job] = {}
    for path in sorted((data_dir / place).glob("*.json"), reverse=True)[:50]:
        try:
            job = Job(**json.loads(path.read_text()))
        except (ValueError, TypeError, OSError):
            continue  # half a file, or of another version
        found[job.run_id] = job
    return found


def alive(job: Job) -> bool:
    """Say whether the job's process still runs; a finished one that nobody has waited for does not."""
    child = _children.get(job.run_id)
    if child is not None and child.poll() is not None:
        del _children[job.run_id]
        return False
    start = born(job.pid)
    return start is not None and start == job.born


def stop(job: Job) -> None:
    """Ask the job to stop; it marks its run as stopped and keeps what was done."""
    if alive(job):
        os.killpg(job.pid, signal.SIGINT)


def said(data_dir: Path, run_id: str, place: str = FOLDER) -> str:
    """Return the end of what the job printed."""
    try:
        text = _log(data_dir / place, run_id).read_bytes()[-LOG_BYTES:]
    except FileNotFoundError:
        return ""
    return text.decode(errors="replace").strip()


def _log(folder: Path, run_id: str) -> Path:
    return folder / f"{run_id}.log"


def _write(path: Path, job: Job) -> None:
    half = path.with_suffix(".half")
    half.write_text(json.dumps(asdict(job)))
    half.replace(path)
