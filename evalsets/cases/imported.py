"""What the import of a file gave, and what of it has no place in a case."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

Format = Literal[
    "csv", "beir", "ragas", "langfuse", "promptfoo",
    "xstest", "harmbench", "jailbreakbench", "ailuminate", "bipia", "mtrag", "clapnq", "ragtruth",
]  # fmt: skip
FORMATS: tuple[str, ...] = get_args(Format)
Row = dict[str, Any]
ASKS = ("question", "query", "input", "user_input", "prompt", "message", "text", "q")


@dataclass(frozen=True, slots=True)
class Lost:
    """A field that has no place in a case, why, and in how many rows."""

    field: str
    why: str
    rows: int


@dataclass(slots=True)
class Imported:
    """What a file gave: the cases, and everything that could not be mapped, with the reason."""

    format: Format
    rows: list[Row] = field(default_factory=list)
    fields: Counter[tuple[str, str]] = field(default_factory=Counter)  # (field, why) -> in how many rows
    dropped: list[str] = field(default_factory=list)  # one sentence a row
    corpus: list[Row] | None = None
    mapping: dict[str, str] = field(default_factory=dict)  # field of a case -> column of the file

    def lose(self, name: str, why: str) -> None:
        """Note that a field of a row has no place in a case."""
        self.fields[name, why] += 1

    @property
    def unmapped(self) -> list[Lost]:
        """The fields that have no place in a case, by name."""
        return [Lost(name, why, rows) for (name, why), rows in sorted(self.fields.items())]

    def to_dict(self) -> dict[str, Any]:
        """Return what is worth telling, as JSON."""
        return {
            "format": self.format,
            "cases": len(self.rows),
            "mapping": self.mapping,
            "unmapped": [asdict(lost) for lost in self.unmapped],
            "dropped": self.dropped,
        }
