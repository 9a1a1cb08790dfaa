"""Fits pipeline/guardrails/deviation.json: `python -m evalsets.fit_support DATA_FOLDER`.

Reads our own altered sentences (training/altered.tsv and altered_wider.tsv, eight domains each), the
handbook's labelled sentences, training/correctness.tsv, and the answers that people rated in mtrag_human_eval
and begin. Prints what weights and a threshold fitted without a set mark of its altered and of its true
sentences, beside plain word overlap cut at the same share of true ones; then writes those of all sets, and
prints what they mark in training/altered_unfitted.tsv, eight domains that no fit and no choice has seen.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalsets.fit_evidence import Array, Fit, fit
from evalsets.judges import labelled
from pipeline.guardrails import deviation, support
from pipeline.text.sentences import sentences
from traces.records import Passage

Mask = NDArray[np.bool_]
TRAINING = Path(__file__).parent / "training"
TRUE = frozenset({"near", "paraphrase", "merged", "answer", "faithful"})
CHANGED = ("number", "negation", "opposite", "name", "addition")
WIDER = ("near", "paraphrase", "merged", "answer", *CHANGED, "other", "unit")
OF = {"number changed": "number", "negated": "negation", "name swapped": "name"}  # of the handbook's kinds
WEIGHT = {
    "own": 100.0,
    "wider": 150.0,
    "among others": 80.0,
    "handbook": 80.0,
    "correctness": 30.0,
    "mtrag_human_eval": 60.0,
    "begin": 30.0,
}
FAITHFUL = 3.9  # mean rating, of 1 to 4, from which all sentences of an answer count as true
LOST = 0.01  # share of the true sentences of a set that may be marked on the sets of the fit
RIDGE = 2.0
NAMES = (
    *("together", "everywhere", "new_share", "together_new", "rare_new", "run", "odd", "unnamed", "length"),
    *("clause", "clause_new", "swapped", "frame_new", "opposite", "opposite_close", "denied", "parity"),
    *("turned", "reach", "any_missing", "tail_missing", "last_missing", "apart_first", "sort", "sort_reach"),
    *("astray", "astray_share", "clauses", "turned_round", "turned_alike", "turned_copied", "differing"),
    *("traded", "traded_one", "traded_first", "exchange", "exchange_same", "exchange_copied"),
    *("replaced_same", "replaced_copied", "recounted_same"),
)


@dataclass(frozen=True, slots=True)
class Altered:
    """A sentence, the passages it cites, and what was done to it: nothing for the kinds of TRUE."""

    domain: str
    kind: str
    text: str
    passages: tuple[str, ...]
    of: str  # the set it comes from


def own() -> Iterator[Altered]:
    """Yield our first sentences; true ones that cite another passage of their domain are wrong citations."""
    yield from _written("altered.tsv", ("near", "paraphrase", *CHANGED), "own")


def wider() -> Iterator[Altered]:
    """Yield our later sentences, citing one passage, and again citing two others beside it."""
    passages = [(row["domain"], row["passage"]) for row in _table("altered_wider.tsv")]
    for sentence in _written("altered_wider.tsv", WIDER, "wider"):
        yield sentence
        others = [
            text for domain, text in passages if domain == sentence.domain and text not in sentence.passages
        ]
        if sentence.kind != "citation":  # of five passages any other may say it
            yield replace(sentence, passages=(others[-2], *sentence.passages, others[-1]), of="among others")


def unfitted() -> Iterator[Altered]:
    """Yield the sentences that no fit sees."""
    yield from _written("altered_unfitted.tsv", WIDER, "unfitted")


def _written(name: str, kinds: Sequence[str], of: str) -> Iterator[Altered]:
    rows = _table(name)
    for place, row in enumerate(rows):
        others = [
            other["passage"]
            for other in (*rows[place + 1 :], *rows[:place])
            if other["domain"] == row["domain"]
        ]
        for kind in kinds:
            yield Altered(row["domain"], kind, row[kind], (row["passage"],), of)
        yield Altered(row["domain"], "citation", row["near"], (others[0],), of)
        yield Altered(row["domain"], "citation", row["paraphrase"], (others[1],), of)


def handbook() -> Iterator[Altered]:
    """Yield the handbook's labelled sentences."""
    path = labelled.SHIPPED / "handbook" / "labels.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        kind: str = "near" if row["label"] == "supported" else OF.get(row["kind"]) or row["kind"]
        yield Altered("handbook", kind, row["answer"], tuple(row["contexts"]), "handbook")


def references() -> Iterator[Altered]:
    """Yield references in other words and said otherwise."""
    for row in _table("correctness.tsv"):
        for kind, column in (
            ("near", "half"),
            *((k, k) for k in ("paraphrase", "contradiction", "invented")),
        ):
            yield Altered("correctness", kind, row[column], (row["reference"],), "correctness")


def rated(folder: Path) -> Iterator[Altered]:
    """Yield the sentences of answers that people found faithful, and responses that they labelled."""
    name = "mtrag_human_eval"
    for entry in labelled.load(str(folder / name)).items:
        if entry.truth >= FAITHFUL and any(text.strip() for text in entry.sample.retrieved_contexts):
            answer, passages = entry.sample.response, tuple(entry.sample.retrieved_contexts)
            for start, end in sentences(answer):
                if len(answer[start:end].split()) >= 5:
                    yield Altered(name, "faithful", answer[start:end], passages, name)
    for entry in labelled.load(str(folder / "begin")).items:
        kind = "faithful" if entry.truth else "not attributable"
        yield Altered("begin", kind, entry.sample.response, tuple(entry.sample.retrieved_contexts), "begin")


def _table(name: str) -> list[dict[str, str]]:
    with (TRAINING / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [{column: value.replace("\\n", "\n") for column, value in row.items()} for row in rows]


def measured(altered: Altered) -> dict[str, float]:
    """Return the features of a sentence as the check computes them, and `whole`, the words' share."""
    passages = [Passage("", n, "", "", "", "", text, n) for n, text in enumerate(altered.passages, 1)]
    return support.features(altered.text, passages)


@dataclass(frozen=True, slots=True)
class Sentences:
    """All sentences with their features."""

    rows: Sequence[Altered]
    features: Array
    whole: Array

    @property
    def true(self) -> Mask:
        return np.array([row.kind in TRUE for row in self.rows])

    @property
    def domains(self) -> NDArray[np.str_]:
        return np.array([row.domain for row in self.rows])


def tabulate(rows: Sequence[Altered]) -> Sentences:
    values = [measured(row) for row in rows]
    table = np.array([[value[name] for name in NAMES] for value in values])
    return Sentences(rows, table, np.array([value["whole"] for value in values]))


def importance(rows: Sequence[Altered]) -> Array:
    """Return weights by which true and altered ones of a set weigh the same, and so do its kinds."""
    keys = [(row.of, row.kind in TRUE, row.kind) for row in rows]
    kinds = {key: keys.count(key) for key in keys}
    sides = {(of, true): sum(k[:2] == (of, true) for k in kinds) for of, true, _ in kinds}
    return np.array([WEIGHT[key[0]] / sides[key[:2]] / kinds[key] for key in keys])


def model(every: Sentences, seen: Mask) -> tuple[Fit, float]:
    """Fit on the sentences seen; the threshold loses LOST of their true ones, the mean over the sets."""
    rows = [row for row, keep in zip(every.rows, seen, strict=True) if keep]
    altered, table = ~every.true[seen], every.features[seen]
    fitted = fit(table, altered.astype(float), importance(rows), NAMES, RIDGE)
    guesses, sets = fitted(table), np.array([row.of for row in rows])
    judged = [name for name in WEIGHT if name != "correctness" and (~altered & (sets == name)).any()]
    cuts = [np.quantile(guesses[~altered & (sets == name)], 1 - LOST) for name in judged]
    return fitted, float(np.mean(cuts))


def marks(every: Sentences) -> tuple[Mask, Mask]:
    """Return which sentences a model marks that saw none of their domain, and which plain overlap marks."""
    marked, plain = np.zeros(len(every.rows), bool), np.zeros(len(every.rows), bool)
    for domain in dict.fromkeys(every.domains.tolist()):
        out = every.domains == domain
        fitted, cut = model(every, ~out)
        marked[out] = (fitted(every.features[out]) >= cut) | (every.whole[out] < support.SCANT)
        plain[out] = every.whole[out] < np.quantile(every.whole[~out & every.true], LOST)
    return marked, plain


def report(every: Sentences) -> None:
    """Print the share marked of each kind, by models that saw none of its domain."""
    marked, plain = marks(every)
    keys = sorted({(row.of, row.kind not in TRUE, row.kind) for row in every.rows})
    for key in keys:
        mine = np.array([(row.of, row.kind not in TRUE, row.kind) == key for row in every.rows])
        side = "altered" if key[1] else "true"
        print(
            f"{key[0]:17s} {side:8s} {key[2]:17s} {mine.sum():4d}: marked {marked[mine].mean():.2f},"
            f" by overlap {plain[mine].mean():.2f}"
        )
    for of in WEIGHT:
        for name, side in (("true", every.true), ("altered", ~every.true)):
            mine = side & np.array([row.of == of for row in every.rows])
            if mine.any():
                print(f"{of}, {name}: {marked[mine].mean():.3f}, by overlap {plain[mine].mean():.3f}")


def report_unfitted(fitted: Fit, cut: float) -> None:
    """Print what the weights mark of the sentences that no fit and no choice has seen."""
    every = tabulate(list(unfitted()))
    marked = (fitted(every.features) >= cut) | (every.whole < support.SCANT)
    for kind in dict.fromkeys(row.kind for row in every.rows):
        mine = np.array([row.kind == kind for row in every.rows])
        print(f"unfitted, {kind}: {marked[mine].sum()} of {mine.sum()}")
    print(f"unfitted, true: {marked[every.true].mean():.3f}, altered: {marked[~every.true].mean():.3f}")


def main(folder: Path, path: Path = deviation.WEIGHTS) -> None:
    """Print the figures of each left-out set, then fit all and write the weights."""
    every = tabulate([*own(), *wider(), *handbook(), *references(), *rated(folder)])
    report(every)
    fitted, cut = model(every, np.ones(len(every.rows), bool))
    report_unfitted(fitted, cut)
    record = {
        "provenance": "fitted by evalsets/fit_support.py on our own training/altered.tsv, altered_wider.tsv"
        " (80 passages, 16 domains), the handbook's 300 labelled sentences, training/correctness.tsv; on"
        " answers rated by people: mtrag_human_eval (Apache-2.0), begin wow_dev (CC-BY-4.0). No text of them"
        " is kept here.",
        "threshold": round(cut, 4),
        **fitted.plain(),
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
