"""Holds groundedness against people: `python -m evalsets.groundedness_table DATA_FOLDER`.

Prints the Markdown table that the README of `evalsets` keeps: on answers that people rated or labelled, how
well our groundedness orders them, the simplest baseline beside it (the share of the answer's content words
that stand in its passages), and how much better ours is, with 95 % intervals over groups of answers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evalsets.judges import labelled
from evalsets.judges.agreement import MEASURES, ROUNDS, Kind, agree
from evalsets.judges.calibration import grounded
from evalsets.judges.labelled import Labelled, LabelledSet
from pipeline.text.sentences import words

PUBLIC = ("mtrag_human_eval", "begin")
SHIPPED = ("handbook",)


def precision(item: Labelled) -> float:
    """Return the share of the answer's content words that stand in its passages; 1 when it has none."""
    there = {word for text in item.sample.retrieved_contexts for word in words(text)}
    own = words(item.sample.response)
    return sum(word in there for word in own) / len(own) if own else 1.0


def gain(
    ours: Sequence[float], plain: Sequence[float], items: Sequence[Labelled], kind: Kind, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of how much better ours agrees, groups drawn anew."""
    measure, random = MEASURES[kind], np.random.default_rng(seed)
    own, other, truths = np.array(ours), np.array(plain), np.array([item.truth for item in items])
    _, numbers = np.unique([item.group for item in items], return_inverse=True)
    members = [np.flatnonzero(numbers == group) for group in range(int(numbers.max()) + 1)]
    gains: list[float] = []
    for _ in range(ROUNDS):
        rows = np.concatenate([members[i] for i in random.integers(0, len(members), len(members))])
        first, second = measure(own[rows], truths[rows]), measure(other[rows], truths[rows])
        if first is not None and second is not None:
            gains.append(first - second)
    low, high = np.quantile(gains, [0.025, 0.975])
    return float(low), float(high)


def line(answers: LabelledSet) -> str:
    """Return the set's line of the table; answers that ours does not rate are left out of both columns."""
    rated = [
        (item, score)
        for item, (score, _) in zip(answers.items, grounded(answers), strict=True)
        if score is not None
    ]
    items, ours = [item for item, _ in rated], [score for _, score in rated]
    plain = [precision(item) for item in items]
    kind: Kind = "auc" if answers.kind == "label" else "spearman"
    cells = [f"{answers.name} ({len(items)})", "AUC" if kind == "auc" else "Spearman"]
    for scores in (ours, plain):
        agreement = agree(scores, [item.truth for item in items], [item.group for item in items], kind)
        cells.append(f"{agreement.value:.3f} ({agreement.low:.2f} to {agreement.high:.2f})")
    low, high = gain(ours, plain, items, kind)
    return f"| {' | '.join([*cells, f'{low:+.3f} to {high:+.3f}'])} |"


def main(folder: Path) -> None:
    """Print the table."""
    print("| set (answers) | by | ours | content-word precision | ours beyond it |\n|---|---|---|---|---|")
    for where in (*(str(folder / name) for name in PUBLIC), *SHIPPED):
        print(line(labelled.load(where)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
