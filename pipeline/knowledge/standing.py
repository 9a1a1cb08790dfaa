"""How a knowledge base stands: its releases, its size, and what an ingestion left to do."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a knowledge base that can be returned to."""

    version: str
    created_at: datetime
    documents: int
    chunks: int
    current: bool


@dataclass(frozen=True, slots=True)
class Lag:
    """What the last ingestion left: documents not stored yet, and those that cannot be, with reasons."""

    pending: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()  # titles of documents not stored yet, the first of them
    since: float | None = None  # seconds since 1970 when the oldest of them began to wait

    def seconds(self, now: float | None = None) -> float:
        """Return how long the oldest document has waited; 0 when none does."""
        if not self.pending or self.since is None:
            return 0.0
        return max(0.0, (time.time() if now is None else now) - self.since)

    @classmethod
    def load(cls, path: Path) -> Lag:
        """Return the kept lag; none when nothing is kept."""
        try:
            values = json.loads(path.read_text("utf-8"))
            return cls(**{**values, "waiting": tuple(values.get("waiting", ()))})
        except (OSError, ValueError, TypeError, AttributeError):
            return cls()

    def save(self, path: Path) -> None:
        """Keep the lag; a reader sees the old or the new one, never half of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            part.write_text(json.dumps(asdict(self)), "utf-8")
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise


@dataclass(frozen=True, slots=True)
class Status:
    """How a knowledge base stands; `problem` is a sentence when it cannot be used fully."""

    kb: str
    version: str | None
    documents: int
    chunks: int
    embedder: str | None
    bytes: int
    pending: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    problem: str | None = None
    lag_seconds: float = 0.0
    fragments: int | None = None
    contents: str | None = None  # fingerprint of the documents in force
    index: str | None = None  # how the vector index is asked and what it finds; None when search is exact
    sparse: str | None = None  # whether the learned-sparse voice is heard; if not, why


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder; files may vanish meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
