"""Fits how cross-encoder and words are weighed: `python -m evalsets.fit_crossing [EVALSET …] [--write]`.

`segment` is a conditional logit over the segments read: the cross-encoder's score, the log odds of the words
and whether it has the steps of a task; a segment is right when it stands on a page labelled right and has the
words of the expected answer. Each set is also read by weights that did not see it.
Whether anything answers is fitted by `fit_answerability.py`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalsets.answering import says
from evalsets.cases.cases import load_evalset
from evalsets.cases.evalset import messages
from evalsets.sentence_losses import Retrieving, searched
from pipeline.context.condenser import needs_history, rewrite
from pipeline.extractive.answerability import odds
from pipeline.extractive.composing import is_task
from pipeline.extractive.crossing import Crossed, crossed, stepped
from pipeline.extractive.evidence import WEIGHTS
from pipeline.knowledge.cross_encoder import CrossEncoder
from traces.records import Case

SETS = ("demo", "walkup", "newcomer", "everyday")
NAMES = ("crossed", "probability", "steps")
LEAST, NEAR = 0.4, 0.8  # of the expected answer's words that a segment has, and of the best segment's share
SCALE = np.array([0.25, 1.0, 4.0])  # their spread is about the same then
STEPS, TINY, RIDGE = 60, 1e-9, 0.01

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CrossedCase:
    """A question as it was read: a row per segment, and which are right."""

    segments: Array  # (n, 3), as NAMES
    right: NDArray[np.bool_]


def read_case(case: Case, whole: Crossed) -> CrossedCase:
    """Return a case with what was read for it."""
    task = is_task(case.question)
    rows = np.array(
        [[r.crossed, odds(r.segment.probability), stepped(r.segment, task=task)] for r in whole.ranked]
    ).reshape(-1, len(NAMES))
    documents = [whole.reading.passages[r.segment.passage].passage.document_id for r in whole.ranked]
    texts = [r.segment.text("") for r in whole.ranked]
    shares = np.array([says(case.question, case.reference or "", text) for text in texts])
    shares *= np.array([document in (case.relevant_ids or ()) for document in documents], float)
    right = (shares >= LEAST) & (shares >= NEAR * shares.max(initial=0.0))
    return CrossedCase(rows, right)


async def gather(cases: Sequence[Case], searching: Retrieving, encoder: CrossEncoder) -> list[CrossedCase]:
    """Read each case that can be answered."""
    table: list[CrossedCase] = []
    for case in cases:
        if case.answerability != "answerable":
            continue
        earlier = messages(case.history or ())
        question = rewrite(case.question, earlier) if needs_history(case.question, earlier) else case.question
        retrieved = await searching.retrieve(question)
        table.append(read_case(case, crossed(question, retrieved, encoder)))
    return table


def fit_segment(tables: dict[str, list[CrossedCase]]) -> Array:
    """Return the weights of NAMES by gradient ascent, each step as long as it gains; sets weigh the same."""
    cases = {name: [case for case in table if case.right.any()] for name, table in tables.items()}
    weights, length = np.zeros(len(NAMES)), 1.0
    value, slope = _likelihood(weights, cases)
    for _ in range(STEPS):
        further = _likelihood(weights + length * slope, cases)
        while further[0] <= value and length > TINY:
            length /= 2
            further = _likelihood(weights + length * slope, cases)
        weights, (value, slope) = weights + length * slope, further
        length *= 2
    return weights * SCALE


def _likelihood(weights: Array, cases: dict[str, list[CrossedCase]]) -> tuple[float, Array]:
    """Return the mean log likelihood of a right segment, and its slope."""
    value, slope = -RIDGE * float(weights @ weights), -2 * RIDGE * weights
    for table in cases.values():
        for case in table:
            rows = case.segments * SCALE
            chances = np.exp(rows @ weights - (rows @ weights).max())
            chances /= chances.sum()
            right = chances * case.right / (chances @ case.right)
            value += float(np.log(chances @ case.right)) / len(table) / len(cases)
            slope = slope + rows.T @ (right - chances) / len(table) / len(cases)
    return value, slope


def line(name: str, table: Sequence[CrossedCase], others: dict[str, list[CrossedCase]]) -> str:
    """Return a set's line of the table, read by what was fitted on the others."""
    segment = fit_segment(others)
    there = [case for case in table if case.right.any()]
    first = np.mean([case.right[(case.segments @ segment).argmax()] for case in there]) if there else np.nan
    words = np.mean([case.right[case.segments[:, 1].argmax()] for case in there]) if there else np.nan
    return f"| {name} ({len(there)}) | {words:.2f} | {first:.2f} |"


async def main(names: Sequence[str], *, write: bool) -> None:
    """Print the table, and the weights that all sets give; write them when asked to."""
    tables: dict[str, list[CrossedCase]] = {}
    encoder = CrossEncoder()
    for name in names:
        evalset = load_evalset(name)
        async with searched(evalset) as searching:
            tables[name] = await gather(evalset.cases, searching, encoder)
    print("| set (cases) | right segment first by words | left out |")
    print("|---|---|---|")
    for name, table in tables.items():
        print(line(name, table, {other: rows for other, rows in tables.items() if other != name} or tables))
    segment = dict(zip(NAMES, fit_segment(tables).round(3).tolist(), strict=True))
    print({"segment": segment})
    if write:
        stored = json.loads(WEIGHTS.read_text(encoding="utf-8")) | {"segment": segment}
        WEIGHTS.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    chosen = [word for word in sys.argv[1:] if word != "--write"]
    asyncio.run(main(chosen or SETS, write="--write" in sys.argv))
