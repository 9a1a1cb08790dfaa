"""What an import would make of a file, before anything is saved: its columns and how they are understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalsets.cases import heads, imports
from evalsets.cases.evalset import EvalsetError
from evalsets.cases.imported import Format, Imported

SAMPLE = 5  # rows shown


@dataclass(frozen=True, slots=True)
class FilePreview:
    """A file as it is understood. `problems` keep it from being saved; `made` is what would be."""

    format: Format | None
    columns: tuple[str, ...] = ()
    sample: tuple[dict[str, Any], ...] = ()  # of the file, as it is
    imported: Imported | None = None
    problems: tuple[str, ...] = field(default=())
    guessed: dict[str, str] = field(default_factory=dict[str, str])  # where a problem is in the way
    doubtful: tuple[str, ...] = ()  # columns that may hold the expected answers, if none is known to

    @property
    def mapping(self) -> dict[str, str]:
        """{field of a case: column}, empty while no column is known to hold the questions."""
        return dict(self.imported.mapping) if self.imported else self.guessed


def look(path: Path, format: Format | None = None, mapped: Mapping[str, str] | None = None) -> FilePreview:
    """Return what an import of the file would give; whatever is wrong with it is in `problems`."""
    try:
        records = imports.records(path)
        format = format or imports.detect(path)
    except EvalsetError as error:
        return FilePreview(format, problems=tuple(error.problems))
    columns = tuple(dict.fromkeys(str(key) for _, row in records for key in row))
    sample = tuple(dict(row) for _, row in records[:SAMPLE])
    try:
        preview = imports.read(path, format, mapped)
    except EvalsetError as error:
        guessed = _guessed(columns)
        lost = (
            () if "reference" in guessed else heads.forgotten(columns, guessed, [row for _, row in records])
        )
        return FilePreview(format, columns, sample, None, tuple(error.problems), guessed, tuple(lost))
    return FilePreview(format, columns, sample, preview)


def _guessed(columns: tuple[str, ...]) -> dict[str, str]:
    try:
        return heads.mapping(columns)
    except EvalsetError:
        return {}
