"""What changed between two runs: which part, from what to what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from traces.records import MADE_WITH, Run


@dataclass(frozen=True, slots=True)
class Changed:
    """One part that is another in the later of two runs."""

    key: str  # a column of table `runs`, "condense" or "retrieval"
    title: str
    was: str
    now: str

    def __str__(self) -> str:
        return f"{self.title} {self.was} → {self.now}"


def between(a: Run, b: Run) -> list[Changed]:
    """Return what run `b` was made with that `a` was not; what is unknown of either is left out."""
    changed = list(_parts(a, b))
    if any(part.key == "prompt" for part in changed):
        changed = [part for part in changed if part.key != "prompt_fingerprint"]  # another file, of course
    was, now = a.settings.condense, b.settings.condense
    if was and now and was != now:
        changed.append(Changed("condense", "condense prompt", was, now))
    return changed + list(_retrieval(a.settings.retrieval or {}, b.settings.retrieval or {}))


def _parts(a: Run, b: Run) -> Iterator[Changed]:
    for part in MADE_WITH:
        was, now = getattr(a, part.key), getattr(b, part.key)
        if was and now and was != now:
            yield Changed(part.key, part.name, was, now)


def _retrieval(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Changed]:
    if not was or not now:
        return
    for key in sorted(was.keys() | now.keys()):
        if was.get(key) != now.get(key):
            yield Changed("retrieval", key, str(was.get(key)), str(now.get(key)))


def over_time(runs: Sequence[Run]) -> list[tuple[Run, list[Changed]]]:
    """Return each run that was made with something else than the run before it; `runs` oldest first."""
    pairs = [(b, between(a, b)) for a, b in pairwise(runs)]
    return [(run, changed) for run, changed in pairs if changed]
