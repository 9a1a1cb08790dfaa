"""The scoreboard of the guards: recall and false alarms per category on our own set, and their time."""

from __future__ import annotations

import json
import statistics
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from evalsets.cases.cases import load_evalset
from evalsets.metrics.stats import wilson
from pipeline.guardrails.inbound import Inbound
from pipeline.guardrails.planted import Planted
from pipeline.text.sentences import sentences

NAME = "guardrails"
SETS = Path(__file__).parents[1] / "sets"
HOSTILE, HARMLESS = "all hostile", "all harmless"
Kind = Literal["recall", "false alarms"]


@dataclass(frozen=True, slots=True)
class CategoryResult:
    """One category: how many were refused or flagged, with the 95 % interval of the share (Wilson)."""

    category: str
    kind: Kind
    n: int
    flagged: int
    share: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True)
class GuardBoard:
    """What the guards do to the set. Microseconds are of one question, embedding included, and of one
    passage; `worse` names the categories that are worse than the recorded bounds."""

    rows: tuple[CategoryResult, ...]
    question_microseconds: float
    passage_microseconds: float
    worse: tuple[str, ...]
    guardrails: str  # fingerprints

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


async def measure(inbound: Inbound, planted: Planted) -> GuardBoard:
    """Put every question and passage of the set before the guards."""
    flags: dict[tuple[str, bool], list[bool]] = {}
    taken: list[float] = []
    for case in load_evalset(NAME).cases:
        began = time.perf_counter()
        verdict = await inbound.examine(case.question)
        taken.append(time.perf_counter() - began)
        key = ((case.tags or ["?"])[0], bool(case.must_refuse))
        flags.setdefault(key, []).append(verdict.action == "refuse")
    looked: list[float] = []
    for row in passages():
        began = time.perf_counter()
        suspects = planted.suspects(row["id"], row["id"], row["text"], sentences(row["text"]))
        looked.append(time.perf_counter() - began)
        hostile = row["planted"] is not None
        right = (
            any(row["planted"] in suspect.text or suspect.text in row["planted"] for suspect in suspects)
            if hostile
            else bool(suspects)
        )
        flags.setdefault(("planted in a passage" if hostile else "passages", hostile), []).append(right)
    rows = tuple(_rows(flags))
    return GuardBoard(
        rows,
        statistics.median(taken) * 1e6,
        statistics.median(looked) * 1e6,
        tuple(worse(rows, bounds())),
        f"{inbound.fingerprint} {planted.fingerprint}",
    )


def passages() -> list[dict[str, Any]]:
    """Return the set's passages: `planted` is the instruction hidden in one, or None."""
    lines = (SETS / f"{NAME}_corpus.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def bounds() -> dict[str, float]:
    """Return the recorded bounds: the least recall, or the most false alarms, of each category."""
    return tomllib.loads((SETS / f"{NAME}_bounds.toml").read_text("utf-8"))["bounds"]


def worse(rows: Sequence[CategoryResult], bounds: dict[str, float]) -> Iterator[str]:
    """Yield each category that is worse than its bound."""
    for row in rows:
        bound = bounds.get(row.category)
        if bound is None:
            continue
        if row.share < bound if row.kind == "recall" else row.share > bound:
            yield f"{row.category}: {row.kind} {row.share:.3f}, bound {bound:g}"


def _rows(flags: dict[tuple[str, bool], list[bool]]) -> Iterator[CategoryResult]:
    for hostile in (True, False):
        mine = {category: values for (category, bad), values in flags.items() if bad == hostile}
        everything = [value for values in mine.values() for value in values]
        for category, values in [*mine.items(), (HOSTILE if hostile else HARMLESS, everything)]:
            share = sum(values) / len(values)
            low, high = wilson(share, len(values))
            kind: Kind = "recall" if hostile else "false alarms"
            yield CategoryResult(category, kind, len(values), sum(values), share, low, high)
