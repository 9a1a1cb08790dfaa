"""Fits pipeline/extractive/evidence.json: `python -m evalsets.fit_evidence DATA_FOLDER`.

Reads clapnq_dev (sentences that annotators chose, answerable or not), demo_gnome_help and mtrag_cloud
(answerable or not), our handbook's questions and the seen ones of `everyday` and `walkup`; prints the
figures of each set by weights fitted without it, and writes those of six small linear models: which
sentence is evidence, which passage answers, how strong a page is; each with and without vectors.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsets.evidence_sets import Example, clapnq, conversations, demo, own, shelve
from pipeline.extractive import evidence, home
from pipeline.extractive.reading import choose
from pipeline.knowledge.embedding import MiniLM
from pipeline.knowledge.found import Retrieved

Array = NDArray[np.float64]
MODELS = {
    "sentence": ("cosine", "cosine_z", "coverage", "cue", "length", "first", "gap", "same", "telling"),
    "sentence_lexical": ("coverage", "cue", "length", "first", "gap", "same", "telling"),
    "strength": (*("cosine_max", "window", "title", "names", "anywhere"), *("narrow", "ahead", "rarest")),
    "strength_lexical": ("coverage", "window", "missing", "title", "names"),
}
PROVENANCE = (
    "fitted by evalsets/fit_evidence.py on clapnq_dev (139 questions), demo_gnome_help (97),"
    " mtrag_cloud (202), demo (150) and the seen parts of everyday (36) and walkup (75)"
)
RIDGE = 3.0  # prior precision of a standardised weight
HOME = {"home": home.FEATURES, "home_lexical": tuple(n for n in home.FEATURES if "cosine" not in n)}
LOST = 0.08  # share of answerable questions that may be lost on the sets of the fit
SHORT = 3.0  # weight of a sentence of `everyday`: there one sentence answers, in clapnq_dev many do
FOLDS = 10
CHOICE_STEPS, CHOICE_RATE = 150, 0.01
SEEDS = 5


@dataclass(frozen=True, slots=True)
class Fit:
    """A logistic model over named features, in their own units."""

    names: tuple[str, ...]
    bias: float
    weights: Array

    def __call__(self, rows: Array) -> Array:
        return 1 / (1 + np.exp(-np.clip(self.bias + rows @ self.weights, -30, 30)))

    def plain(self) -> dict[str, Any]:
        weights = {name: round(float(w), 4) for name, w in zip(self.names, self.weights, strict=True)}
        return {"bias": round(self.bias, 4), "weights": weights}


def fit(rows: Array, labels: Array, importance: Array, names: Sequence[str], ridge: float = RIDGE) -> Fit:
    """Fit a ridge logistic regression on standardised features by Newton's method."""
    centre, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    design = np.column_stack([np.ones(len(rows)), (rows - centre) / spread])
    penalty = ridge * np.eye(design.shape[1])
    penalty[0, 0] = 1e-6
    solution = np.zeros(design.shape[1])
    for _ in range(50):
        guess = 1 / (1 + np.exp(-np.clip(design @ solution, -30, 30)))
        slope = design.T @ (importance * (guess - labels)) + penalty @ solution
        bend = (design * (importance * guess * (1 - guess))[:, None]).T @ design + penalty
        step = np.linalg.solve(bend, slope)
        solution -= step
        if np.abs(step).max() < 1e-8:
            break
    weights = solution[1:] / spread
    return Fit(tuple(names), float(solution[0] - centre @ weights), weights)


def auc(scores: Array, labels: Array) -> float:
    """Return the probability that a positive scores above a negative, ties counting half."""
    above, below = scores[labels > 0.5], scores[labels < 0.5]
    return float(np.mean((above[:, None] > below).astype(float) + 0.5 * (above[:, None] == below)))


def f1(chosen: Sequence[frozenset[int]], gold: frozenset[int]) -> float:
    """Return the set F1; a chosen sentence that covers no annotated one counts as one error."""
    covered = frozenset().union(*chosen)
    wrong = sum(not labels for labels in chosen)
    hits = len(covered & gold)
    return 2 * hits / (len(covered) + wrong + len(gold)) if hits else 0.0


@dataclass(frozen=True, slots=True)
class EvidenceTable:
    """The rows of a model: features, labels, importance, and the example each row comes from."""

    rows: Array
    labels: Array
    importance: Array
    owner: NDArray[np.int64]

    def part(self, keep: NDArray[np.bool_]) -> EvidenceTable:
        return EvidenceTable(self.rows[keep], self.labels[keep], self.importance[keep], self.owner[keep])


def tabulate(name: str, examples: Sequence[Example]) -> EvidenceTable:
    """Return the rows of a model; examples of unlabelled sentences are left out of the sentence models."""
    lexical, sentence = name.endswith("_lexical"), name.startswith("sentence")
    rows, labels, importance, owner = [], [], [], []
    for number, example in enumerate(examples):
        page = evidence.Page(
            example.question, without_vectors(example.retrieved) if lexical else example.retrieved
        )
        if sentence and not example.gold:
            continue
        features = page.sentence_features() if sentence else page.strength_features()
        rows.append(np.column_stack([features[feature] for feature in MODELS[name]]))
        if sentence:
            labels += [float(bool(covered & example.gold)) for covered in example.labels(page)]
        else:
            labels.append(float(example.answerable))
        weight = SHORT if example.source == "everyday" else 0.5  # each question of clapnq_dev comes twice
        importance += [weight] * len(rows[-1])
        owner += [number] * len(rows[-1])
    return EvidenceTable(np.concatenate(rows), np.array(labels), np.array(importance), np.array(owner))


def without_vectors(retrieved: Retrieved) -> Retrieved:
    bare = tuple(replace(candidate, vectors=None) for candidate in retrieved.candidates)
    return replace(retrieved, query_vector=None, candidates=bare)


def held_out(table: EvidenceTable, groups: NDArray[np.int64], names: Sequence[str], seed: int) -> Array:
    """Return each row's probability by a model that saw no question of its fold."""
    order = np.random.default_rng(seed).permutation(np.unique(groups))
    guesses = np.zeros(len(table.rows))
    for fold in np.array_split(order, FOLDS):
        inside = np.isin(groups[table.owner], fold)
        seen = table.part(~inside)
        guesses[inside] = fit(seen.rows, seen.labels, seen.importance, names)(table.rows[inside])
    return guesses


def fit_sentences(name: str, examples: Sequence[Example], groups: NDArray[np.int64]) -> Fit:
    """Fit a sentence model; print its held-out evidence F1 beside that of the first three sentences."""
    table = tabulate(name, examples)
    pages = {
        number: evidence.Page(examples[number].question, examples[number].retrieved)
        for number in set(table.owner)
    }
    for source in ("given", "searched", "everyday"):
        mine = [number for number in pages if examples[number].source == source]
        labels = {number: examples[number].labels(pages[number]) for number in mine}
        ours = []
        for seed in range(SEEDS):
            guesses = held_out(table, groups, MODELS[name], seed)
            for number in mine:
                chosen = choose(guesses[table.owner == number].tolist())
                ours.append(f1([labels[number][i] for i in chosen], examples[number].gold))
        first = [
            f1(labels[number][: min(3, pages[number].owner.count(0))], examples[number].gold)
            for number in mine
        ]
        print(
            f"{name}, {source}: evidence F1 {np.mean(ours):.3f}, first three sentences {np.mean(first):.3f}"
        )
    return fit(table.rows, table.labels, table.importance, MODELS[name])


def fit_strength(name: str, examples: Sequence[Example]) -> Fit:
    """Fit a strength model; print what models that did not see a set do on it."""
    table = tabulate(name, examples)
    sets = np.array([examples[number].of for number in table.owner])
    for left_out in sorted(set(sets.tolist())):
        out = sets == left_out
        guesses = _strength(table.part(~out), sets[~out], MODELS[name])(table.rows[out])
        labels = table.labels[out]
        print(
            f"{name}, {left_out} left out: AUC {auc(guesses, labels):.3f};"
            f" false answers {np.mean(guesses[labels < 0.5] >= evidence.ABSTAIN_BELOW):.2f} of"
            f" {int(np.sum(labels < 0.5))}, false abstentions"
            f" {np.mean(guesses[labels > 0.5] < evidence.ABSTAIN_BELOW):.2f} of {int(np.sum(labels > 0.5))}"
        )
    return _strength(table, sets, MODELS[name])


def _strength(table: EvidenceTable, sets: NDArray[np.str_], names: Sequence[str]) -> Fit:
    """Fit with all sets and both kinds weighing the same, 0.5 where LOST of the answerable ones are lost."""
    importance = np.zeros(len(table.labels))
    for name in set(sets.tolist()):
        for label in (0.0, 1.0):
            mine = (sets == name) & (table.labels == label)
            importance[mine] = 50 / max(mine.sum(), 1)
    fitted = fit(table.rows, table.labels, importance, names)
    guesses, answerable = fitted(table.rows), table.labels > 0.5
    cuts = [np.quantile(guesses[(sets == name) & answerable], LOST) for name in set(sets.tolist())]
    cut = float(np.mean(cuts))
    return replace(fitted, bias=fitted.bias - float(np.log(cut / (1 - cut))))


def fit_home(name: str, examples: Sequence[Example]) -> dict[str, Any]:
    """Fit which passage answers; print how often it is right in sets that were left out, and rank 1 is."""
    pages: list[tuple[str, Array, NDArray[np.bool_]]] = []
    for example in examples:
        if not example.pages or example.source == "given":
            continue
        retrieved = without_vectors(example.retrieved) if name.endswith("_lexical") else example.retrieved
        page = evidence.Page(example.question, retrieved)
        right = np.array([f.passage.document_id in example.pages for f in page.passages], bool)
        if page.texts:
            columns = home.features(page)
            pages.append((example.of, np.column_stack([columns[n] for n in HOME[name]]), right))
    for left_out in dict.fromkeys(of for of, _, _ in pages):
        weights = _choice([page for page in pages if page[0] != left_out])
        mine = [(rows, right) for of, rows, right in pages if of == left_out]
        hits = np.mean([right[int((rows @ weights).argmax())] for rows, right in mine])
        first = np.mean([right[0] for _, right in mine])
        print(f"{name}, {left_out} left out: right page {hits:.3f} of {len(mine)}, the first {first:.3f}")
    return Fit(HOME[name], 0.0, _choice(pages)).plain()


def _choice(pages: Sequence[tuple[str, Array, NDArray[np.bool_]]], ridge: float = 2.0) -> Array:
    """Return the weights of a conditional logit, by gradient steps: the right rows beside the others."""
    sets = [of for of, _, _ in pages]
    weights = np.zeros(pages[0][1].shape[1])
    for _ in range(CHOICE_STEPS):
        slope = 2 * ridge * weights
        for of, rows, right in pages:
            if not right.any():
                continue
            chance = np.exp(rows @ weights - (rows @ weights).max())
            chance /= chance.sum()
            wanted_share = chance * right / max(float((chance * right).sum()), 1e-12)
            slope += 100 / sets.count(of) * rows.T @ (chance - wanted_share)
        weights -= CHOICE_RATE * slope
    return weights


async def gather(folder: Path) -> list[Example]:
    embedder = MiniLM()
    wiki, pages, cloud = [
        await shelve(folder / name / "corpus.jsonl", embedder)
        for name in ("clapnq_dev", "demo_gnome_help", "mtrag_cloud")
    ]
    given, within = await clapnq(folder / "clapnq_dev", embedder, wiki)
    return [
        *given,
        *within,
        *await demo(folder / "demo_gnome_help", embedder, pages),
        *await conversations(folder / "mtrag_cloud", embedder, cloud),
        *await own("demo", embedder),
        *await own("everyday", embedder, "seen"),
        *await own("walkup", embedder, "seen"),
    ]


def write(examples: Sequence[Example], path: Path = evidence.WEIGHTS) -> None:
    """Fit all four models and write them."""
    _, groups = np.unique([example.question for example in examples], return_inverse=True)
    fits = {
        name: fit_sentences(name, examples, groups)
        if name.startswith("sentence")
        else fit_strength(name, examples)
        for name in MODELS
    }
    homes = {name: fit_home(name, examples) for name in HOME}
    record = {"provenance": PROVENANCE} | {name: fitted.plain() for name, fitted in fits.items()} | homes
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(asyncio.run(gather(Path(sys.argv[1]))))
