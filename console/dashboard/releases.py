"""What the Prompts page knows and does: versions, what the gate says, evals in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import streamlit as st

from console.dashboard import data, jobs, visitor
from evalsets.release import canary, release
from evalsets.release.in_force import trial
from evalsets.release.verdict import Evidence
from pipeline import shelving
from pipeline.deeds import note
from pipeline.prompts.force import AuditError, Change, Force, Overtaken
from pipeline.prompts.library import Library, PromptError, PromptVersion
from traces.queries.versions import Live
from traces.records import Run

COMMAND = (sys.executable, "-m", "console.cli", "prompts")
FOLDER = "console/releases"  # of jobs, below the folder of the workspace
CHECK_SECONDS = 90
LIVE_DAYS = 30


@dataclass(frozen=True, slots=True)
class ReleaseVersion:
    """A version with how it stands and the newest whole run it went through."""

    prompt: PromptVersion
    state: str  # in force | canary 10% | released | candidate | damaged
    run: Run | None
    live: Live | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says of a version: which one it would replace, and the evidence of each evalset."""

    in_force: str
    evalsets: tuple[Evidence, ...]

    @property
    def reasons(self) -> list[str]:
        """Why the version is held back, a sentence each."""
        return [reason for evidence in self.evalsets for reason in evidence.reasons]

    @property
    def missing(self) -> bool:
        """Whether runs are missing."""
        return any(evidence.missing for evidence in self.evalsets)


def library() -> Library:
    """Return the prompts of the configuration."""
    return shelving.library(data.settings())


def force() -> Force:
    """Return what is in force, read anew."""
    return shelving.force(data.settings())


def read(name: str) -> list[ReleaseVersion]:
    """Return the versions of a prompt, the newest first."""
    shelf, standing = library(), force().standing(name)
    released, states = shelf.released(), standing.states()
    sets = {Path(evalset).stem for evalset in data.settings().gate.evalsets}
    whole = [
        run
        for run in data.read_runs(limit=200)
        if run.state == "finished" and run.only is None and not trial(run)
    ]
    own_runs = [run for run in whole if run.evalset in sets]
    online = data.read_live(name, datetime.now(UTC) - timedelta(LIVE_DAYS))
    versions: list[ReleaseVersion] = []
    for prompt in (version for version in shelf.versions() if version.name == name):
        changed = released.get(prompt.label) not in (None, prompt.fingerprint)
        state = states.get(prompt.label) or ("released" if prompt.label in released else "candidate")
        run = next((run for run in own_runs if run.prompt_fingerprint == prompt.fingerprint), None)
        versions.append(
            ReleaseVersion(
                prompt, "changed after release" if changed else state, run, online.get(prompt.label)
            )
        )
    return versions[::-1]


def changes() -> list[Change]:
    """Return the audit log, newest first; an altered log is a Problem."""
    try:
        return force().changes()[::-1]
    except AuditError as error:
        raise data.Problem(f"The audit log cannot be trusted: {error}", "Restore it from a backup.") from None


def save(name: str, source: PromptVersion, text: str) -> str:
    """Write a text as the next version; return its label. Raises PromptError saying what is wrong."""
    visitor.need("editor", "write prompts")
    path = library().new(name, source, text if text.endswith("\n") else text + "\n")
    note(data.settings(), f"prompt {name}@{path.stem} written after {source.label}")
    return f"{name}@{path.stem}"


def decision(version: PromptVersion) -> Decision:
    """Return what the gate says of a version, asked of a process of its own."""
    newest = [(run.run_id, run.state) for run in data.read_runs(limit=5)]
    path = force().path
    stamp = path.stat().st_mtime_ns if path.exists() else 0
    state = f"{data.settings().workspace} {newest} {data.settings().gate.evalsets}"
    return _decision(version.label, version.fingerprint, stamp, state)


@st.cache_data(ttl=300, max_entries=50, show_spinner="Asking the gate …")
def _decision(label: str, fingerprint: str, stamp: int, state: str) -> Decision:
    done = _run("check", label, "--json")
    try:
        body = json.loads(done.stdout)
        return Decision(body["in_force"], tuple(map(Evidence.read, body["evalsets"])))
    except ValueError:
        raise data.Problem(
            f"The gate could not be asked: {done.stderr.strip()[-400:]}", "Try again."
        ) from None


def promote(label: str, reason: str | None = None) -> str | None:
    """Promote a version, against the gate when a reason is given; return why it failed, or None."""
    visitor.need("approver", "promote a prompt")
    against = ["--override", "--reason", reason] if reason else []
    done = _run("promote", label, "--yes", "--actor", actor(), *against)
    return None if done.returncode == 0 else done.stderr.strip()


def rollback(name: str) -> str | None:
    """Go back to the version before; return why it failed, or None."""
    visitor.need("approver", "take a prompt back")
    try:
        release.rollback(library(), force(), name, actor=actor(), reason="from the console")
    except (PromptError, release.NothingBefore) as error:
        return str(error)
    return None


def begin_canary(label: str, share: float) -> str | None:
    """Answer a share of the conversations with a version; return why that failed, or None."""
    visitor.need("approver", "start a canary")
    try:
        canary.begin_canary(library(), force(), label, share, actor=actor())
    except (PromptError, AuditError, Overtaken) as error:
        return str(error)
    return None


def end_canary(name: str) -> str | None:
    """Let the version in force answer everybody again; return why that failed, or None."""
    visitor.need("approver", "stop a canary")
    try:
        canary.end_canary(library(), force(), name, actor=actor(), reason="from the console")
    except (PromptError, AuditError, Overtaken) as error:
        return str(error)
    return None


def live_since(name: str, at: str) -> dict[str, Live]:
    """Return what each version of a prompt did on live traffic since a moment, by label."""
    return data.read_live(name, datetime.fromisoformat(at))


def run_evals(label: str) -> None:
    """Start the runs the gate is missing, in a process of its own."""
    command = [*COMMAND, "check", label, "--run-evals", "--yes", "--json"]
    jobs.launch(data.settings().own.path, FOLDER, label, command, f"evals for {label}")


def under_way(label: str) -> bool:
    """Say whether the evals of a version run now."""
    job = jobs.remembered(data.settings().own.path, FOLDER).get(label)
    return job is not None and jobs.alive(job)


def output(label: str) -> str:
    """Return the end of what the evals of a version printed."""
    return jobs.output(data.settings().own.path, label, FOLDER)


def actor() -> str:
    """Return the name that a change is recorded under."""
    return visitor.name()


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return jobs.ended(*COMMAND, *arguments, seconds=CHECK_SECONDS)
