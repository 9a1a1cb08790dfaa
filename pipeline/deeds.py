"""What people changed, a line each: evalsets, the gate's choice, prompt versions, knowledge bases, erasures.

Prompts in force, alert rules, users, keys and workspaces have logs of their own beside it.
"""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pipeline.desk import desk
from pipeline.settings import Settings

DEEDS = "deeds.jsonl"  # below the data folder, of all workspaces
_actor: ContextVar[Callable[[], str] | None] = ContextVar("actor", default=None)


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that somebody changed, and in which workspace; None: in the whole installation."""

    at: datetime
    who: str
    what: str
    why: str = ""
    workspace: str | None = None


@contextmanager
def acting(name: Callable[[], str]) -> Iterator[None]:
    """Let what is changed within be the deed of somebody else than this machine's user."""
    token = _actor.set(name)
    try:
        yield
    finally:
        _actor.reset(token)


def actor() -> str:
    """Return who changes something now."""
    name = _actor.get()
    if name is not None:
        return name()
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def note(settings: Settings, what: str, why: str = "") -> None:
    """Keep that somebody changed something of a workspace, on all machines; raises OSError."""
    deed = Deed(datetime.now(UTC), actor(), what, why, settings.workspace)
    line = json.dumps(asdict(deed) | {"at": deed.at.isoformat()}) + "\n"
    with desk(settings).together():
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        file = os.open(settings.data_dir / DEEDS, flags, 0o600)
        try:
            os.write(file, line.encode())
            os.fsync(file)
        finally:
            os.close(file)


def deeds(settings: Settings) -> list[Deed]:
    """Return what was noted, oldest first; a line that cannot be read is left out."""
    desk(settings).look()
    try:
        lines = (settings.data_dir / DEEDS).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    read: list[Deed] = []
    for line in lines:
        try:
            row = json.loads(line)
            read.append(Deed(**row | {"at": datetime.fromisoformat(row["at"])}))
        except (ValueError, TypeError, KeyError):
            continue
    return read
