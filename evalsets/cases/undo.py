"""Taking back a change of one of the team's evalsets, while nothing else changed it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evalsets.cases.cases import own_folder
from evalsets.cases.evalset import EvalsetError
from pipeline import settings
from pipeline.desk import desk


@dataclass(slots=True)
class UndoStep:
    """A change that can be taken back: what it was, the files before it, and how it left them."""

    name: str  # of the evalset
    what: str  # for people: "case 7 deleted"
    before: dict[Path, bytes | None] = field(repr=False)  # None: the file was not there
    after: str = ""

    def undo(self) -> None:
        """Put the files back as they were.

        Raises EvalsetError when they were changed again since: that change would be lost.
        """
        with desk(settings.load_settings()).together():
            if _digest(self.before) != self.after:
                raise EvalsetError([f"{self.name} was changed again since; correct the case by hand"])
            for path, content in self.before.items():
                _put(path, content)


@contextmanager
def step(name: str, what: str, folder: Path | None = None) -> Iterator[UndoStep]:
    """Note how an evalset's files are before the change made inside, and how it leaves them."""
    path = (folder or own_folder()) / f"{name}.jsonl"
    undo = UndoStep(name, what, {file: _content(file) for file in (path, path.with_suffix(".toml"))})
    yield undo
    undo.after = _digest(undo.before)


def _put(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
        return
    half = path.with_name(f".{path.name}.undo")
    half.write_bytes(content)
    half.replace(path)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _digest(files: dict[Path, bytes | None]) -> str:
    whole = hashlib.sha256()
    for path in files:
        content = _content(path)
        whole.update(b"-" if content is None else hashlib.sha256(content).digest())
    return whole.hexdigest()
