"""Fits the guard's models for foreign text: `python -m evalsets.fit_foreign DATA_FOLDER [CACHE_FOLDER]`.

They learn from every line the English models learn from and from our own foreign lines, by words and
vectors and once by words alone; where a question counts is set by foreign lines alone, each scored by a
model that did not see it. Only these models are written: the English ones of the file stay as they are.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsets.fit_guard import GuardTable, arrays, calibration, embedded, fit, folds, tabulate
from evalsets.guard_lines import LabelledText, own, pairs, questions
from evalsets.metrics.stats import wilson
from pipeline.guardrails.classifier import BY_WORDS, LABELS, LANGUAGES, WEIGHTS, Label
from pipeline.knowledge.embedding import MiniLM

# Share of the harmless foreign lines, most of them lookalikes and twins of hostile ones, that may count.
ALARMS: dict[Label, float] = {"harm": 0.06, "injection": 0.01, "distress": 0.01}
WEIGHT = 6.0  # of a foreign line beside an English one: there are twenty times fewer
TRUST = 0.67  # in the vectors, beside that of the English models: the embedder learnt English
BEGINS, ENDS = "<!-- foreign begins -->", "<!-- foreign ends -->"
INTRODUCTION = """## Text in another language than English

By words and vectors, and once by words alone, written by `python -m evalsets.fit_foreign`. Held-out lines of
ours and the French ones of ailuminate, with 95 % intervals (Wilson). Most of ours are twins, a hostile and a
harmless one of nearly the same words, held out together. The line is set on the harmless ones shown, so
their share is no measurement. On tests/pipeline/foreign.tsv, in no fit: 3 of 157 harmless questions refused,
10 of 15 hostile ones in German, French, Spanish, Portuguese and Chinese, 10 of 26 in Italian and Dutch, which
are not covered. On the guardrails set 21 of 40 hostile, 0 of 62 harmless: half of what is found in English.

| model | recall | false alarms | recall of ours by language |
|---|---|---|---|"""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A label's model as the file holds it, and a row of the card."""

    stored: dict[str, NDArray[np.floating]]
    row: str


def lines(folder: Path) -> list[LabelledText]:
    """Return all questions, the foreign ones marked by their source `own:LANGUAGE` or `ailuminate:fr`."""
    foreign = [LabelledText(text, kind, f"own:{language}") for kind, language, text in own("foreign")]
    return [*questions(folder), *foreign, *pairs("foreign_pairs")]


def foreign(line: LabelledText) -> bool:
    language = line.source.partition(":")[2]
    return bool(language) and language not in LANGUAGES


def fitted(name: str, label: Label, table: GuardTable) -> Fitted:
    """Fit one model; the line is the score that ALARMS of the harmless foreign lines reach, held out."""
    other = np.array([foreign(line) for line in table.lines])
    weights = np.where(other, WEIGHT, table.weights)
    table = replace(table, weights=weights, dense=table.dense * np.float32(TRUST))
    scores, fold = np.full(len(table.lines), np.nan), folds(table)
    for number in range(int(fold.max()) + 1):
        aside = other & (fold == number)
        scores[aside] = table.scores(fit(table, fold != number))[aside]
    harmless = other & (table.labels == 0)
    line = float(np.quantile(scores[harmless], 1 - ALARMS[label]))
    point = fit(table, np.ones(len(table.lines), bool))
    point[: table.dense.shape[1]] *= TRUST
    stored = arrays(name, table, point, (*calibration(table, scores), line))
    hostile = other & (table.labels > 0)
    row = f"{_row(name, scores > line, hostile, harmless)} {_by_language(table, scores > line, hostile)} |"
    return Fitted(stored, row)


def _by_language(table: GuardTable, over: NDArray[np.bool_], hostile: NDArray[np.bool_]) -> str:
    """Return the recall in each language, of our own lines alone."""
    sources = np.array([line.source for line in table.lines])
    names = [name for name in sorted(set(sources[hostile])) if name.startswith("own:")]
    return ", ".join(f"{name[-2:]} {over[hostile & (sources == name)].mean():.2f}" for name in names)


def _row(name: str, over: NDArray[np.bool_], hostile: NDArray[np.bool_], harmless: NDArray[np.bool_]) -> str:
    shares = []
    for member in (hostile, harmless):
        low, high = wilson(float(over[member].mean()), int(member.sum()))
        shares.append(f"{over[member].mean():.2f} of {member.sum()} [{low:.2f}, {high:.2f}]")
    return f"| {name} | {shares[0]} | {shares[1]} |"


def write(folder: Path, cache: Path | None, path: Path = WEIGHTS) -> None:
    """Fit every label a question can have and put the models beside the others in the file."""
    texts = embedded(lines(folder), MiniLM(), cache)
    with np.load(path, allow_pickle=False) as stored:
        models: dict[str, Any] = {name: stored[name] for name in stored.files}
    rows: list[str] = []
    for label in LABELS:
        if label in BY_WORDS:
            continue
        for name, vectors in ((f"{label}_foreign", True), (f"{label}_foreign_words", False)):
            result = fitted(name, label, tabulate(label, texts, vectors=vectors))
            models |= result.stored
            rows.append(result.row)
            print(result.row, flush=True)
    np.savez_compressed(path, **models)
    card = path.with_suffix(".md")
    text = re.sub(f"\n*{BEGINS}.*{ENDS}\n*", "\n", card.read_text("utf-8"), flags=re.S)
    card.write_text(f"{text.rstrip()}\n\n{_card(rows)}\n", encoding="utf-8")


def _card(rows: list[str]) -> str:
    table = "\n".join(rows)
    return f"{BEGINS}\n{INTRODUCTION}\n{table}\n{ENDS}"


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
