"""Fits the weights of metrics/agreement.py: `python -m evalsets.fit_agreement`.

Reads training/correctness.tsv: a question, its reference, the same in other words, an invented
sentence, half of the reference, the contrary. A logistic model learns on the even rows which texts say
otherwise; the share of pairs ordered rightly is printed for the odd rows, and the other way round.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalsets.metrics import agreement
from evalsets.metrics.reference import token_f1

ROWS = Path(__file__).parent / "training/correctness.tsv"
RIDGE = 0.001
STEPS, RATE = 3000, 0.5
PAIRS = (
    ("paraphrase", "added"),
    ("paraphrase", "half"),
    ("half", "contradiction"),
    ("paraphrase", "contradiction"),
    ("added", "contradiction"),
)
Row = dict[str, str]
Array = NDArray[np.float64]


def rows() -> list[Row]:
    """Return the rows, each with `added`: its reference and the invented sentence."""
    with ROWS.open(encoding="utf-8", newline="") as file:
        jobs = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [{**row, "added": f"{row['reference']} {row['invented']}"} for row in jobs]


def ordered(some: Iterable[Row], score: Callable[[Row, str], float]) -> dict[str, float]:
    """Return the share of pairs that a score puts in order, for each kind of pair; a tie is wrong."""
    some = list(some)
    return {
        f"{better} > {worse}": float(np.mean([score(row, better) > score(row, worse) for row in some]))
        for better, worse in PAIRS
    }


def f1(row: Row, kind: str) -> float:
    """Return the baseline: word overlap with the reference."""
    return token_f1(row[kind], row["reference"])


def agreed(row: Row, kind: str) -> float:
    """Return the metric's score."""
    return agreement.agree(row["question"], row["reference"], row[kind]).score


def fit(some: Sequence[Row]) -> tuple[tuple[float, ...], float]:
    """Return weights and bias that tell what says otherwise from what does not."""
    kinds = ("paraphrase", "added", "half", "contradiction")
    values = np.array([[_features(row, kind) for kind in kinds] for row in some])
    flat = values.reshape(-1, values.shape[2])
    scale = flat.std(0) + 1e-9
    inputs = np.c_[flat / scale, np.ones(len(flat))]
    targets = np.tile([0.0, 0.0, 0.0, 1.0], len(some))
    share = np.tile([1.0, 0.3, 0.3, 1.0], len(some))  # the easy kinds weigh less
    weights = np.zeros(inputs.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-inputs @ weights))
        slope = (inputs * ((chance - targets) * share)[:, None]).mean(0)
        weights -= RATE * (slope + RIDGE * np.r_[weights[:-1], 0])
    return tuple(float(weight) for weight in weights[:-1] / scale), float(weights[-1])


def _features(row: Row, kind: str) -> tuple[float, ...]:
    text = " ".join(agreement._split(row["reference"], row[kind])[0])
    return agreement.features(row["question"], row["reference"], text)


def main() -> None:
    """Print the figures of both halves, then the weights of the even rows."""
    every = rows()
    for learn, left_out in ((every[1::2], every[::2]), (every[::2], every[1::2])):
        agreement.WEIGHTS, agreement.BIAS = fit(learn)
        shares = ordered(left_out, agreed)
        print(f"left out: {np.mean(list(shares.values())):.3f}", shares)
    print(f"Reference F1: {np.mean(list(ordered(every, f1).values())):.3f}")
    print("WEIGHTS =", tuple(round(weight, 4) for weight in agreement.WEIGHTS))
    print("BIAS =", round(agreement.BIAS, 4))


if __name__ == "__main__":
    main()
