"""The names in the data folder: the pipeline's and evalsets'. The room of the traces knows its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.auth import DEFAULT


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Where each thing lies below one data folder."""

    path: Path

    @property
    def workspaces(self) -> Path:
        """What belongs to each workspace but `default`, in a folder of its name."""
        return self.path / "workspaces"

    def within(self, workspace: str) -> DataFolder:
        """Return where a workspace's prompts, evalsets and choices lie."""
        return self if workspace == DEFAULT else DataFolder(self.workspaces / workspace)

    def everywhere(self) -> Iterator[tuple[str, DataFolder]]:
        """Yield each workspace that has something of its own, `default` first."""
        yield DEFAULT, self
        for path in sorted(self.workspaces.glob("*/")):
            yield path.name, DataFolder(path)

    @property
    def audit(self) -> Path:
        """The audit log: which prompt versions came into force."""
        return self.path / "audit.jsonl"

    @property
    def breakers(self) -> Path:
        """The changes of breakers."""
        return self.path / "breakers.jsonl"

    @property
    def conversations(self) -> Path:
        return self.path / "conversations.sqlite"

    @property
    def spending(self) -> Path:
        return self.path / "spending.sqlite"

    @property
    def trials(self) -> Path:
        """What evals and replays spent."""
        return self.path / "eval-spending.sqlite"

    @property
    def counts(self) -> Path:
        """The limits of users, counted over all workers."""
        return self.path / "counts.sqlite"

    @property
    def people(self) -> Path:
        """Users, API keys and sessions, and the audit lines about them."""
        return self.path / "people.sqlite"

    @property
    def owners(self) -> Path:
        """Whose the knowledge bases were when the machines' database could last be asked."""
        return self.path / "owners.json"

    @property
    def prompts(self) -> Path:
        """New versions of prompts, beside the shipped ones; of all machines that share a ledger."""
        return self.path / "prompts"

    @property
    def mirror(self) -> Path:
        """The lock of those who write copies of what machines share."""
        return self.path / "mirror.lock"

    @property
    def knowledge(self) -> Path:
        """The knowledge bases."""
        return self.path / "knowledge"

    @property
    def private(self) -> Path:
        """People's own documents."""
        return self.path / "private"

    @property
    def evalsets(self) -> Path:
        """The team's own evalsets."""
        return self.path / "evalsets"

    @property
    def gate(self) -> Path:
        """Which evalsets the team chose for the gate."""
        return self.path / "gate.json"

    @property
    def runs(self) -> Path:
        """A lock file for each eval or replay that goes on."""
        return self.path / "runs"

    @property
    def answer_cache(self) -> Path:
        """What models answered in evals."""
        return self.path / "eval-cache"

    @property
    def judge_cache(self) -> Path:
        """What judges replied, and their home."""
        return self.path / "judge-cache"

    @property
    def calibrations(self) -> Path:
        """How well judges agree with people."""
        return self.path / "calibrations.jsonl"

    @property
    def alerts(self) -> Path:
        """The alerts that were told last."""
        return self.path / "alerts.json"
