"""Eval runs started from the console: processes of their own that outlive a page and a browser."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from console.dashboard import data, visitor
from pipeline.auth import DEFAULT
from traces.ids import uuid7
from traces.processes import born
from traces.records import Run

FOLDER = "console/jobs"  # below the folder of the workspace
LOG_BYTES = 4_000
ESTIMATE_SECONDS = 120
_children: dict[str, subprocess.Popen[bytes]] = {}  # of this console, so that ended ones are waited for
CONFIGURED = "configured"  # of retrieval settings: as they are
COMMAND = (sys.executable, "-m", "console.cli", "eval", "run")


@dataclass(frozen=True, slots=True)
class Job:
    """A started run; `born` (the process's start in clock ticks) tells a reused process id apart."""

    run_id: str
    pid: int
    born: str | None
    started_at: str
    title: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run is made of: each prompt with each model and search, asked side by side by one process."""

    evalset: str
    prompts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    retrieval: tuple[str, ...] = ()  # settings to try, "passages=8,floor=0.2" or "configured"
    only_retrieval: bool = False
    limit: int | None = None
    repetitions: int = 1
    budget_usd: float | None = None
    judge: str | None = None
    metrics: tuple[str, ...] = ()
    target: str | None = None  # the address of another chatbot
    target_model: str | None = None
    template: Path | None = None  # how it is asked, when not as OpenAI's are

    @property
    def variants(self) -> int:
        """How many runs it makes."""
        if self.target:
            return 1
        pairs = 1 if self.only_retrieval else max(len(self.prompts), 1) * max(len(self.models), 1)
        return pairs * max(len(self.retrieval), 1)

    @property
    def tried(self) -> tuple[str, ...]:
        """The retrieval settings, where they are not just those in force."""
        return () if self.retrieval == (CONFIGURED,) else self.retrieval

    @property
    def title(self) -> str:
        """What people call it."""
        if self.target:
            return f"{self.evalset} · {self.target}"
        names = (
            ["retrieval only"] if self.only_retrieval else [", ".join(self.prompts), ", ".join(self.models)]
        )
        return " · ".join(part for part in (self.evalset, *names, " | ".join(self.tried)) if part)

    def arguments(self) -> list[str]:
        """Return the options of `answerdeck eval run`."""
        given = [self.evalset, "--json"]
        if self.target:
            given += self._other()
        elif self.only_retrieval:
            given += ["--only", "retrieval"]
        else:
            given += [part for prompt in self.prompts for part in ("--prompt", prompt)]
            given += [part for model in self.models for part in ("--model", model)]
        given += [part for setting in self.tried for part in ("--retrieval", setting)]
        options = {
            "--limit": self.limit,
            "--repetitions": self.repetitions if self.repetitions > 1 else None,
            "--budget": self.budget_usd,
            "--judge": None if self.only_retrieval else self.judge,
            "--metrics": ",".join(self.metrics) if self.judge and not self.only_retrieval else None,
        }
        return given + [part for name, value in options.items() if value for part in (name, str(value))]

    def _other(self) -> list[str]:
        """Return the options that name another chatbot."""
        where = ["--template", str(self.template)] if self.template else ["--target", str(self.target)]
        return where + (["--target-model", self.target_model] if self.target_model else [])


@dataclass(frozen=True, slots=True)
class Expected:
    """What a variant would take; dollars are None where no price is known."""

    variant: str
    calls: int
    usd: float | None
    most_usd: float | None


def start(folder: Path, order: Wanted) -> Job:
    """Start `answerdeck eval run` in a process group of its own and remember it."""
    key = uuid7()
    named = ["--run", key] if order.variants == 1 else []
    return launch(folder, FOLDER, key, [*COMMAND, *order.arguments(), *named, "--yes"], order.title)


def estimate(order: Wanted) -> list[Expected]:
    """Return what each variant would take; raises ValueError."""
    try:
        done = ended(*COMMAND, *order.arguments(), "--estimate")
    except subprocess.TimeoutExpired:
        raise ValueError(f"it took over {ESTIMATE_SECONDS} s; the machine is busy") from None
    if done.returncode:
        raise ValueError(done.stderr.strip()[-400:] or f"it ended with code {done.returncode}")
    rows = json.loads(done.stdout)["estimates"]
    return [Expected(row["variant"], row["calls"], row["usd"], row.get("most_usd")) for row in rows]


def blame(turn_id: str, name: str) -> tuple[str | None, str]:
    """Return the stage at which a turn lost a document, and the sentence; (None, the reason) when unknown.

    A process of its own looks, for a document that was no candidate is searched again.
    """
    try:
        done = ended(*COMMAND[:-2], "traces", "show", turn_id, "--blame", name, "--json")
    except subprocess.TimeoutExpired:
        return None, f"It took over {ESTIMATE_SECONDS} s; the machine is busy."
    try:
        result = json.loads(done.stdout)
        return result["stage"], result["sentence"]
    except (ValueError, KeyError):
        return None, done.stderr.strip()[-400:] or f"It ended with code {done.returncode}."


def ended(*command: str, seconds: float = ESTIMATE_SECONDS) -> subprocess.CompletedProcess[str]:
    """Run a command for the workspace that is looked at to its end; raises subprocess.TimeoutExpired.

    It has no terminal to ask at: what spends money needs `--yes`.
    """
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        env=environment(),
        check=False,
    )


def environment() -> dict[str, str]:
    """Return the environment of a command that works for the workspace that is looked at."""
    present = data.settings()
    whose = {} if present.workspace == DEFAULT else {"ANSWERDECK_WORKSPACE": present.workspace}
    return {**os.environ, "ANSWERDECK_DATA_DIR": str(present.data_dir.absolute()), **whose}


def of_runs(runs: Iterable[Run], started: dict[str, Job]) -> dict[str, Job]:
    """Return the job that makes each run: the one of its name, or the one whose process it is."""
    by_process = {(job.pid, job.born): job for job in started.values()}
    by_run: dict[str, Job] = {}
    for run in runs:
        process = run.settings.process
        job = started.get(run.run_id) or (by_process.get((process.pid, process.born)) if process else None)
        if job is not None:
            by_run[run.run_id] = job
    return by_run


def launch(below: Path, place: str, key: str, command: list[str], title: str) -> Job:
    """Start a command in a process group of its own and remember it under `place` by its key."""
    visitor.need("editor", "start work")
    folder = below / place
    folder.mkdir(parents=True, exist_ok=True)
    with _log(folder, key).open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(),
            start_new_session=True,
        )
    job = Job(key, process.pid, born(process.pid), datetime.now(UTC).isoformat(), title)
    try:
        _write(folder / f"{key}.json", job)
    except OSError:  # nobody could find or stop it
        process.terminate()
        raise
    _children[key] = process
    return job


def remembered(below: Path, place: str = FOLDER) -> dict[str, Job]:
    """Return the jobs started from here, by run, newest first."""
    jobs_by_id: dict[str, Job] = {}
    for path in sorted((below / place).glob("*.json"), reverse=True)[:50]:
        try:
            job = Job(**json.loads(path.read_text()))
        except (ValueError, TypeError, OSError):
            continue  # half a file, or of another version
        jobs_by_id[job.run_id] = job
    return jobs_by_id


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
    visitor.need("editor", "stop work")
    if alive(job):
        os.killpg(job.pid, signal.SIGTERM)


def output(below: Path, run_id: str, place: str = FOLDER) -> str:
    """Return the end of what the job printed."""
    try:
        text = _log(below / place, run_id).read_bytes()[-LOG_BYTES:]
    except FileNotFoundError:
        return ""
    return text.decode(errors="replace").strip()


def _log(folder: Path, run_id: str) -> Path:
    return folder / f"{run_id}.log"


def _write(path: Path, job: Job) -> None:
    half = path.with_suffix(".half")
    half.write_text(json.dumps(asdict(job)))
    half.replace(path)
