"""Fits whether anything read answers: `python -m evalsets.fit_answerability DATA_FOLDER [--write]`.

`strength_crossed` is a logistic model over the features of `extractive/answerability.py`; all sets weigh the
same, and answerable questions as much as others. Its line lies where LOST of the answerable ones are lost in
the mean of the sets. Prints each set by weights and line of the sets over other documents, beside the best
score of the cross-encoder alone with a line found the same way, and what a line of its own would give.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalsets.cases.cases import load_evalset
from evalsets.cases.evalset import Evalset, messages
from evalsets.evidence_sets import lines
from evalsets.fit_evidence import auc, fit
from evalsets.sentence_losses import Retrieving, searched
from pipeline.context.condenser import needs_history, rewrite
from pipeline.extractive.answerability import FEATURES, LEAST, features
from pipeline.extractive.crossing import crossed
from pipeline.extractive.evidence import WEIGHTS, read
from pipeline.knowledge.cross_encoder import CrossEncoder
from traces.records import Case

OURS = ("demo", "walkup", "newcomer", "visitor", "everyday")
PUBLIC = ("demo_gnome_help", "mtrag_cloud")
ANSWERED = ("answerable", "partial")
LOST = 0.065  # share of answerable questions that may be lost, in the mean of the sets
OWN_LINES = (0.05, 0.08, 0.10)  # shares lost at which a set's own line is shown

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReadQuestions:
    """The questions of a set as they were read; `documents` names what they are asked of."""

    documents: str
    answerable: NDArray[np.bool_]
    rows: Array  # (n, len(FEATURES))
    best: Array  # (n,) the best score of the cross-encoder

    def lost(self, scores: Array, line: float) -> float:
        """Return the share of answerable questions below a line."""
        return float(np.mean(scores[self.answerable] < line))

    def false(self, scores: Array, line: float) -> float:
        """Return the share of the others that are not below it."""
        return float(np.mean(scores[~self.answerable] >= line))


def sets(folder: Path) -> list[Evalset]:
    """Return the sets of the fit: ours and the public ones of a folder."""
    public = [load_evalset(folder / name) for name in PUBLIC]
    return [*map(load_evalset, OURS), *public, clapnq(folder / "clapnq_dev")]


def clapnq(folder: Path) -> Evalset:
    """Return clapnq_dev, whose questions stand in a file of its own kind."""
    cases = tuple(
        Case(
            "",
            row["id"],
            row["question"],
            answerability="answerable" if row["answerable"] else "unanswerable",
        )
        for row in lines(folder / "questions.jsonl")
    )
    return Evalset("clapnq_dev", "", cases, corpus=folder / "corpus.jsonl")


async def gather(evalset: Evalset, searching: Retrieving, encoder: CrossEncoder) -> ReadQuestions:
    """Read each question that can be answered or not."""
    answerable: list[bool] = []
    rows: list[tuple[float, ...]] = []
    best: list[float] = []
    for case in evalset.cases:
        if case.answerability not in (*ANSWERED, "unanswerable", "off_topic"):
            continue
        earlier = messages(case.history or ())
        question = rewrite(case.question, earlier) if needs_history(case.question, earlier) else case.question
        retrieved = await searching.retrieve(question)
        first = max(crossed(question, retrieved, encoder).ranked, key=lambda r: r.crossed, default=None)
        score = first.crossed if first else LEAST
        reading, segment = read(question, retrieved), first.segment if first else None
        answerable.append(case.answerability in ANSWERED)
        rows.append(features(reading, segment, score, encoder))
        best.append(score)
    documents = "handbook" if evalset.sample else evalset.name
    return ReadQuestions(documents, np.array(answerable), np.array(rows), np.array(best))


def fit_strength(tables: Mapping[str, ReadQuestions]) -> tuple[float, Array]:
    """Return bias and weights of FEATURES; 0 is the line."""
    rows = np.concatenate([table.rows for table in tables.values()])
    labels = np.concatenate([table.answerable for table in tables.values()])
    shares = [1 / np.where(t.answerable, t.answerable.sum(), (~t.answerable).sum()) for t in tables.values()]
    model = fit(rows, labels.astype(float), 50 * np.concatenate(shares), FEATURES)
    scores = {name: table.rows @ model.weights for name, table in tables.items()}
    return -line(scores, tables), model.weights


def line(scores: Mapping[str, Array], tables: Mapping[str, ReadQuestions]) -> float:
    """Return the highest score at which no more than LOST of the answerable questions lie below."""
    values = np.unique(np.concatenate(list(scores.values())))
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high + 1) // 2
        lost = np.mean([table.lost(scores[name], values[middle]) for name, table in tables.items()])
        low, high = (middle, high) if lost <= LOST else (low, middle - 1)
    return float(values[low])


def row(name: str, table: ReadQuestions, others: Mapping[str, ReadQuestions]) -> str:
    """Return a set's line of the table, read by what was fitted on the others."""
    bias, weights = fit_strength(others)
    scores = table.rows @ weights + bias
    simple = line({other: rows.best for other, rows in others.items()}, others)
    cells = [
        f"{name} ({table.answerable.sum()}, {(~table.answerable).sum()})",
        f"{auc(table.best, table.answerable.astype(float)):.3f}",
        f"{table.false(table.best, simple):.2f} / {table.lost(table.best, simple):.2f}",
        f"{auc(scores, table.answerable.astype(float)):.3f}",
        f"{table.false(scores, 0.0):.2f} / {table.lost(scores, 0.0):.2f}",
        *(f"{table.false(scores, own_line(scores[table.answerable], share)):.2f}" for share in OWN_LINES),
    ]
    return f"| {' | '.join(cells)} |"


def own_line(scores: Array, share: float) -> float:
    """Return the highest line below which no more than a share of the scores lies."""
    return float(np.sort(scores)[min(int(share * len(scores) + 1e-9), len(scores) - 1)])


async def main(folder: Path, *, write: bool) -> None:
    """Print the table, and the weights that all sets give; write them when asked to."""
    tables: dict[str, ReadQuestions] = {}
    encoder = CrossEncoder()
    for evalset in sets(folder):
        async with searched(evalset) as searching:
            tables[evalset.name] = await gather(evalset, searching, encoder)
    heads = [
        "set (answerable, not)",
        *["AUC", "false answers / lost"] * 2,
        *(f"at {s:.2f}" for s in OWN_LINES),
    ]
    print(f"| {' | '.join(heads)} |")
    print(f"|{'---|' * len(heads)}")
    for name, table in tables.items():
        print(row(name, table, elsewhere(table.documents, tables)))
    bias, weights = fit_strength(tables)
    strength = dict(zip(("bias", *FEATURES), [round(bias, 3), *weights.round(3).tolist()], strict=True))
    print(strength)
    if write:
        stored = json.loads(WEIGHTS.read_text(encoding="utf-8")) | {"strength_crossed": strength}
        WEIGHTS.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")


def elsewhere(documents: str, tables: Mapping[str, ReadQuestions]) -> dict[str, ReadQuestions]:
    """Return the sets that are asked of other documents."""
    return {name: table for name, table in tables.items() if table.documents != documents}


if __name__ == "__main__":
    words: Sequence[str] = [word for word in sys.argv[1:] if word != "--write"]
    asyncio.run(main(Path(words[0]), write="--write" in sys.argv))
