"""What changed between two runs: which part, from what to what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from evalsets.release.in_force import PARTS


@dataclass(frozen=True, slots=True)
class Changed:
    """One part that is another in the later of two runs."""

    key: str  # a column of table `runs`, "condense" or "retrieval"
    title: str
    was: str
    now: str

    def __str__(self) -> str:
        return f"{self.title} {self.was} → {self.now}"


def between(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Changed]:
    """Return what run `b` was made with that `a` was not; what is unknown of either is left out."""
    found = [
        Changed(key, title, a[key], b[key]) for key, title in PARTS if a[key] and b[key] and a[key] != b[key]
    ]
    if any(one.key == "prompt" for one in found):
        found = [one for one in found if one.key != "prompt_fingerprint"]  # another version is another file
    settings = [run["settings"] or {} for run in (a, b)]
    was, now = (one.get("condense") for one in settings)
    if was and now and was != now:
        found.append(Changed("condense", "condense prompt", was, now))
    was, now = (one.get("retrieval") for one in settings)
    if was and now and was != now:
        keys = [key for key in was.keys() | now.keys() if was.get(key) != now.get(key)]
        found += [Changed("retrieval", key, str(was.get(key)), str(now.get(key))) for key in sorted(keys)]
    return found


def over_time(runs: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], list[Changed]]]:
    """Return each run that was made with something else than the run before it; `runs` oldest first."""
    pairs = [(b, between(a, b)) for a, b in pairwise(runs)]
    return [(run, changed) for run, changed in pairs if changed]
