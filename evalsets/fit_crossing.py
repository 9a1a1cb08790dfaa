"""Fits how cross-encoder and words are weighed: `python -m evalsets.fit_crossing [EVALSET …] [--write]`.

`segment` is a conditional logit over the segments read: the cross-encoder's score, the log odds of the words
and whether it has the steps of a task; a segment is right when it stands on a page labelled right and has the
words of the expected answer.
`strength_crossed` is a logistic model of whether anything answers, by the log odds of the words' strength,
the best score and how far it is ahead of the median; LOWER lowers its line, since silence on what a page
answers is dearer than a beside one. Each set is also read by weights that did not see it.
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
from evalsets.fit_evidence import auc, fit
from evalsets.sentence_losses import Retrieving, searched
from pipeline.context.condenser import needs_history, rewrite
from pipeline.extractive.composing import is_task
from pipeline.extractive.crossing import Crossed, crossed, odds, stepped
from pipeline.extractive.evidence import WEIGHTS, read
from pipeline.knowledge.cross_encoder import CrossEncoder
from traces.records import Case

SETS = ("demo", "walkup", "newcomer", "everyday")
NAMES = ("crossed", "probability", "steps")
STRENGTH = ("strength", "crossed", "ahead")
LEAST, NEAR = 0.4, 0.8  # of the expected answer's words that a segment has, and of the best segment's share
LOWER = 1.15  # log odds
SCALE = np.array([0.25, 1.0, 4.0])  # their spread is about the same then
STEPS, TINY, RIDGE = 60, 1e-9, 0.01

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CrossedCase:
    """A question as it was read: a row per segment, which are right, and a row for the whole."""

    answerable: bool
    segments: Array  # (n, 3), as NAMES
    right: NDArray[np.bool_]
    strength: Array  # (3,), as STRENGTH; the first is the least there is where a rule found nothing to say


def read_case(case: Case, whole: Crossed, words: float) -> CrossedCase:
    """Return a case with what was read for it; `words` is the strength by words alone."""
    task = is_task(case.question)
    rows = np.array(
        [[r.crossed, odds(r.segment.probability), stepped(r.segment, task=task)] for r in whole.ranked]
    ).reshape(-1, len(NAMES))
    documents = [whole.reading.passages[r.segment.passage].passage.document_id for r in whole.ranked]
    texts = [r.segment.text("") for r in whole.ranked]
    shares = np.array([says(case.question, case.reference or "", text) for text in texts])
    shares *= np.array([document in (case.relevant_ids or ()) for document in documents], float)
    right = (shares >= LEAST) & (shares >= NEAR * shares.max(initial=0.0))
    scores = rows[:, 0] if len(rows) else np.array([-11.0])
    strength = np.array([odds(words), scores.max(), scores.max() - float(np.median(scores))])
    return CrossedCase(case.answerability == "answerable", rows, right, strength)


async def gather(cases: Sequence[Case], searching: Retrieving, encoder: CrossEncoder) -> list[CrossedCase]:
    """Read each case that says whether it can be answered."""
    table: list[CrossedCase] = []
    for case in cases:
        if case.answerability not in ("answerable", "unanswerable", "off_topic"):
            continue
        earlier = messages(case.history or ())
        question = rewrite(case.question, earlier) if needs_history(case.question, earlier) else case.question
        retrieved = await searching.retrieve(question)
        words = read(question, retrieved).strength
        table.append(read_case(case, crossed(question, retrieved, encoder), words))
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


def fit_strength(tables: dict[str, list[CrossedCase]]) -> tuple[float, Array]:
    """Return bias and weights of STRENGTH; sets weigh the same, and answerable as much as not."""
    rows = np.array([case.strength for table in tables.values() for case in table])
    labels = np.array([case.answerable for table in tables.values() for case in table], float)
    shares = [
        1 / sum(other.answerable == case.answerable for other in table)
        for table in tables.values()
        for case in table
    ]
    model = fit(rows, labels, np.array(shares) * len(shares) / sum(shares), STRENGTH)
    return model.bias, model.weights


def line(name: str, table: Sequence[CrossedCase], others: dict[str, list[CrossedCase]]) -> str:
    """Return a set's line of the table, read by what was fitted on the others."""
    segment = fit_segment(others)
    bias, weights = fit_strength(others)
    there = [case for case in table if case.right.any()]
    first = np.mean([case.right[(case.segments @ segment).argmax()] for case in there]) if there else np.nan
    words = np.mean([case.right[case.segments[:, 1].argmax()] for case in there]) if there else np.nan
    scores = np.array([case.strength @ weights + bias + LOWER for case in table])
    labels = np.array([case.answerable for case in table], float)
    both = 0 < labels.sum() < len(labels)
    area = f"{auc(scores, labels):.3f}" if both else "–"
    false = f"{np.mean(scores[labels < 0.5] >= 0):.2f}" if both else "–"
    silent = f"{np.mean(scores[labels > 0.5] < 0):.2f}"
    return f"| {name} ({len(there)}) | {words:.2f} | {first:.2f} | {area} | {false} | {silent} |"


async def main(names: Sequence[str], *, write: bool) -> None:
    """Print the table, and the weights that all sets give; write them when asked to."""
    tables: dict[str, list[CrossedCase]] = {}
    encoder = CrossEncoder()
    for name in names:
        evalset = load_evalset(name)
        async with searched(evalset) as searching:
            tables[name] = await gather(evalset.cases, searching, encoder)
    print("| set (cases) | right segment first by words | left out | AUC | false answers | silent |")
    print("|---|---|---|---|---|---|")
    for name, table in tables.items():
        print(line(name, table, {other: rows for other, rows in tables.items() if other != name} or tables))
    segment = dict(zip(NAMES, fit_segment(tables).round(3).tolist(), strict=True))
    bias, weights = fit_strength(tables)
    strength = {"bias": round(bias + LOWER, 3)} | dict(zip(STRENGTH, weights.round(3).tolist(), strict=True))
    print({"segment": segment, "strength_crossed": strength})
    if write:
        stored = json.loads(WEIGHTS.read_text(encoding="utf-8"))
        stored |= {"segment": segment, "strength_crossed": strength}
        WEIGHTS.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    chosen = [word for word in sys.argv[1:] if word != "--write"]
    asyncio.run(main(chosen or SETS, write="--write" in sys.argv))
