"""Fits pipeline/guardrails/deviation.json: `python -m evalsets.fit_support DATA_FOLDER`.

Reads our own altered sentences (training/altered.tsv, altered_wider.tsv and altered_rephrased.tsv, eight
domains each), the handbook's labelled sentences, training/correctness.tsv, and the answers that people rated
in mtrag_human_eval and begin. The threshold is the lowest at which weights fitted without a domain mark few
of its true sentences; prints what they mark of each kind, beside plain word overlap cut at the same share of
true ones. Then writes the weights of all sets, and prints what they mark in training/altered_unfitted.tsv and
altered_second.tsv, eight domains each that no fit has seen.
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
TRUE = frozenset({"near", "paraphrase", "merged", "answer", "brief", "rephrased", "faithful"})
CHANGED = ("number", "negation", "opposite", "name", "addition")
WIDER = ("near", "paraphrase", "merged", "answer", *CHANGED, "other", "unit")
SECOND = ("near", "paraphrase", "merged", "answer", "brief", *CHANGED, "other", "unit")
OF = {"number changed": "number", "negated": "negation", "name swapped": "name"}  # of the handbook's kinds
WEIGHT = {
    "own": 100.0,
    "wider": 150.0,
    "rephrased": 150.0,
    "among others": 80.0,
    "handbook": 80.0,
    "correctness": 30.0,
    "mtrag_human_eval": 60.0,
    "begin": 30.0,
}
FAITHFUL = 3.9  # mean rating, of 1 to 4, from which all sentences of an answer count as true
JUDGED = tuple(name for name in WEIGHT if name != "among others")
LINES = np.arange(0.5, 1.0, 0.002)
LOST = 0.04  # share of the true sentences that may be marked, the mean over the sets, each left out
RIDGE = 2.0
NAMES = (
    *("together", "everywhere", "new_share", "together_new", "rare_new", "run", "odd", "unnamed", "length"),
    *("clause", "clause_new", "swapped", "frame_new", "opposite", "opposite_close", "denied", "parity"),
    *("turned", "reach", "any_missing", "tail_missing", "last_missing", "apart_first", "sort", "sort_reach"),
    *("astray", "astray_share", "clauses", "turned_round", "turned_alike", "turned_copied", "differing"),
    *("traded", "traded_one", "traded_first", "exchange", "exchange_same", "exchange_copied"),
    *("replaced_same", "replaced_copied", "recounted_same"),
    *("far_sum", "far_share", "far_max", "far_mean", "far_rare", "far_last", "far_tail", "kin", "kin_share"),
    *("cover", "gain", "back", "scant", "scant_cover"),
    *(f"{name}*{other}" for name, other in deviation.PRODUCTS),
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


def second() -> Iterator[Altered]:
    """Yield those of the second set that no fit sees, as chat models write; translations apart."""
    yield from _written("altered_second.tsv", SECOND, "second")


def translated(name: str) -> Iterator[Altered]:
    """Yield true and altered translations of a table into languages its passages are not in."""
    for row in _table(name):
        for kind in ("translation", "mistranslation"):
            if row[kind]:
                yield Altered(row["domain"], kind, row[kind], (row["passage"],), "translated")


def rephrased() -> Iterator[Altered]:
    """Yield true sentences in wholly other words, and altered ones."""
    rows = _table("altered_rephrased.tsv")
    columns = [column for column in rows[0] if column.startswith("rephrased")]
    for sentence in _written(
        "altered_rephrased.tsv", (*columns, *CHANGED, "other", "unit", "contrary"), "rephrased"
    ):
        kind = "rephrased" if sentence.kind in columns else sentence.kind
        yield replace(sentence, kind=kind)


def joined() -> Iterator[Altered]:
    """Yield long sentences of two facts of a passage, true ones and those of which one fact is altered."""
    for row in _table("altered_rephrased.tsv"):
        for kind in ("merged", "half"):
            yield Altered(row["domain"], kind, row[kind], (row["passage"],), "joined")


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
        for text, other in zip((row[kinds[0]], row[kinds[1]]), others, strict=False):
            yield Altered(row["domain"], "citation", text, (other,), of)


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


def model(every: Sentences, seen: Mask) -> Fit:
    """Fit on the sentences seen."""
    rows = [row for row, keep in zip(every.rows, seen, strict=True) if keep]
    return fit(every.features[seen], (~every.true[seen]).astype(float), importance(rows), NAMES, RIDGE)


def left_out(every: Sentences) -> Array:
    """Return each sentence's deviation by a model that saw none of its domain."""
    scores = np.zeros(len(every.rows))
    for domain in dict.fromkeys(every.domains.tolist()):
        out = every.domains == domain
        scores[out] = model(every, ~out)(every.features[out])
    return scores


def line(every: Sentences, scores: Array) -> float:
    """Return the lowest line above which LOST of the true sentences lie, the mean over the sets."""
    sets = np.array([row.of for row in every.rows])
    judged = [name for name in JUDGED if (every.true & (sets == name)).any()]
    for candidate in LINES:
        lost = [(scores[every.true & (sets == name)] >= candidate).mean() for name in judged]
        if np.mean(lost) <= LOST:
            return float(candidate)
    return float(LINES[-1])


def report(every: Sentences, marked: Mask) -> None:
    """Print the share marked of each kind, by models that saw none of its domain."""
    plain = every.whole < np.quantile(every.whole[every.true], LOST)
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


def report_unfitted(fitted: Fit, cut: float, name: str, rows: Sequence[Altered]) -> None:
    """Print what the weights mark of sentences that no fit and no choice has seen."""
    every = tabulate(rows)
    marked = fitted(every.features) >= cut
    for kind in dict.fromkeys(row.kind for row in every.rows):
        mine = np.array([row.kind == kind for row in every.rows])
        print(f"{name}, {kind}: {marked[mine].sum()} of {mine.sum()}")
    print(f"{name}, true: {marked[every.true].mean():.3f}, altered: {marked[~every.true].mean():.3f}")


def main(folder: Path, path: Path = deviation.WEIGHTS) -> None:
    """Print the figures of each left-out set, then fit all and write the weights."""
    every = tabulate([*own(), *wider(), *rephrased(), *handbook(), *references(), *rated(folder)])
    scores = left_out(every)
    cut = line(every, scores)
    report(every, scores >= cut)
    fitted = model(every, np.ones(len(every.rows), bool))
    report_unfitted(fitted, cut, "unfitted", list(unfitted()))
    report_unfitted(fitted, cut, "second", list(second()))
    report_unfitted(fitted, cut, "joined", list(joined()))
    record = {
        "provenance": "fitted by evalsets/fit_support.py on our own training/altered.tsv, altered_wider.tsv,"
        " altered_rephrased.tsv (120 passages, 24 domains), the handbook's 300 labelled sentences,"
        " training/correctness.tsv; on answers rated by people: mtrag_human_eval (Apache-2.0), begin wow_dev"
        " (CC-BY-4.0). No text of them"
        " is kept here.",
        "threshold": round(cut, 4),
        **fitted.plain(),
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
