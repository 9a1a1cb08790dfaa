"""A rubric: what the team wants of an answer, in its own words: `[rubric]` of an evalset's .toml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_FLAGS = ("passages", "abstentions")
LONGEST = 2_000  # characters of a criterion


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that an answer is marked for.

    With `passages` the judge sees those too; with `abstentions` answers that abstain are marked as well.
    """

    name: str
    text: str
    passages: bool = False
    abstentions: bool = False

    @property
    def metric(self) -> str:
        """The name of its metric: "rubric_tone"."""
        return f"rubric_{self.name}"


def read(table: object, where: str, problems: list[str]) -> tuple[Criterion, ...]:
    """Return the criteria of a `[rubric]`; each one that cannot be adds one sentence to the problems."""
    if not isinstance(table, Mapping):
        problems.append(f'{where}: rubric must be a table: [rubric], below it lines like tone = "…"')
        return ()
    criteria: list[Criterion] = []
    for name, value in table.items():
        reason = _problem(name, value)
        if reason is not None:
            problems.append(f"{where}: rubric {name!r} {reason}")
            continue
        given: dict[str, Any] = {"text": value} if isinstance(value, str) else dict(value)
        criteria.append(Criterion(name, **{**given, "text": " ".join(given["text"].split())}))
    return tuple(criteria)


def _problem(name: str, value: object) -> str | None:
    """Say why a line of a `[rubric]` is no criterion; None when it is one."""
    if not _NAME.fullmatch(name):
        return "cannot be a name; begin with a letter, then small letters, digits and '_', at most 40"
    given = {"text": value} if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        return f'must be a sentence, or a table {{text = "…", passages = true}}, got {value!r}'
    unknown = [key for key in given if key not in ("text", *_FLAGS)]
    if unknown:
        return f"has an unknown key {unknown[0]!r}; there are text, passages and abstentions"
    flags = [key for key in _FLAGS if not isinstance(given.get(key, False), bool)]
    if flags:
        return f"must say true or false for {flags[0]}, got {given[flags[0]]!r}"
    text = given.get("text")
    if not isinstance(text, str) or not text.strip():
        return "says nothing; write what a good answer does"
    return f"has {len(text):,} characters; {LONGEST:,} are the most" if len(text) > LONGEST else None
