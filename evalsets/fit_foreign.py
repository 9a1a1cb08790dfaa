"""Fits the guard's models for foreign text: `python -m evalsets.fit_foreign DATA_FOLDER`.

They go by words alone. They learn from every line the English models learn from and from our own
foreign lines; where a question counts is set by foreign lines alone, each scored by a model that did
not see it. Only these models are written: the English ones of the file stay as they are.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsets.fit_guard import calibration, fit, folds, tabulate
from evalsets.guard_lines import LabelledText, own, questions
from evalsets.metrics.stats import wilson
from pipeline.guardrails.classifier import BY_WORDS, LABELS, LANGUAGES, WEIGHTS, Label

# Share of the harmless foreign lines, lookalikes included, that may count.
ALARMS: dict[Label, float] = {"harm": 0.04, "injection": 0.005, "distress": 0.001}
WEIGHT = 6.0  # of a foreign line beside an English one: there are twenty times fewer
BEGINS, ENDS = "<!-- foreign begins -->", "<!-- foreign ends -->"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A label's model as the file holds it, and a row of the card."""

    stored: NDArray[np.float16]
    row: str


def lines(folder: Path) -> list[LabelledText]:
    """Return all questions, the foreign ones marked by their source `own:LANGUAGE` or `ailuminate:fr`."""
    foreign = [LabelledText(text, kind, f"own:{language}") for kind, language, text in own("foreign")]
    return [*questions(folder), *foreign]


def foreign(line: LabelledText) -> bool:
    language = line.source.partition(":")[2]
    return bool(language) and language not in LANGUAGES


def fitted(label: Label, questions: list[LabelledText]) -> Fitted:
    """Fit one label; the line is the score that ALARMS of the harmless foreign lines reach, held out."""
    table = tabulate(label, questions, vectors=False)
    other = np.array([foreign(line) for line in table.lines])
    table = replace(table, weights=np.where(other, WEIGHT, table.weights))
    scores, fold = np.full(len(table.lines), np.nan), folds(table)
    for number in range(int(fold.max()) + 1):
        aside = other & (fold == number)
        scores[aside] = table.scores(fit(table, fold != number))[aside]
    harmless = other & (table.labels == 0)
    line = float(np.quantile(scores[harmless], 1 - ALARMS[label]))
    scale, offset = calibration(table, scores)
    weights = fit(table, np.ones(len(table.lines), bool))
    threshold = 1 / (1 + np.exp(-(scale * line + offset)))
    stored = np.array([weights[-1], scale, offset, threshold, *weights[:-1]], np.float16)
    return Fitted(stored, _row(label, scores > line, other & (table.labels > 0), harmless))


def _row(
    label: Label, over: NDArray[np.bool_], hostile: NDArray[np.bool_], harmless: NDArray[np.bool_]
) -> str:
    shares = []
    for member in (hostile, harmless):
        low, high = wilson(float(over[member].mean()), int(member.sum()))
        shares.append(f"{over[member].mean():.2f} of {member.sum()} [{low:.2f}, {high:.2f}]")
    return f"| {label} | {shares[0]} | {shares[1]} |"


def write(folder: Path, path: Path = WEIGHTS) -> None:
    """Fit every label a question can have and put the models beside the others in the file."""
    texts = lines(folder)
    with np.load(path, allow_pickle=False) as stored:
        models: dict[str, Any] = {name: stored[name] for name in stored.files}
    rows: list[str] = []
    for label in LABELS:
        if label not in BY_WORDS:
            result = fitted(label, texts)
            models[f"{label}_foreign"] = result.stored
            rows.append(result.row)
            print(result.row, flush=True)
    np.savez_compressed(path, **models)
    card = path.with_suffix(".md")
    text = re.sub(f"\n*{BEGINS}.*{ENDS}\n*", "\n", card.read_text("utf-8"), flags=re.S)
    card.write_text(f"{text.rstrip()}\n\n{_card(rows)}\n", encoding="utf-8")


def _card(rows: list[str]) -> str:
    table = "\n".join(rows)
    return (
        f"{BEGINS}\n## Text in another language than English\n\nBy words alone, written by "
        "`python -m evalsets.fit_foreign`. Held-out lines of ours and the French ones of ailuminate, with "
        "95 % intervals (Wilson); the line is set on the harmless ones shown, so their share is no "
        "measurement. On tests/pipeline/foreign.tsv, in no fit (though the alarm shares were settled with it "
        "and the guardrails set in view): 2 of 157 harmless questions refused, "
        "12 of 41 hostile ones (0.29 [0.18, 0.45]); on the guardrails set 16 of 40 hostile, "
        "0 of 62 harmless. Most hostile foreign questions pass this guard.\n\n"
        f"| label | recall | false alarms |\n|---|---|---|\n{table}\n{ENDS}"
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
