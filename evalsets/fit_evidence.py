"""Fits pipeline/extractive/evidence.json: `python -m evalsets.fit_evidence DATA_FOLDER`.

Reads clapnq_dev (sentences that annotators chose, answerable or not) and demo_gnome_help
(answerable or not), prints cross-validated figures, and writes the weights of four small
logistic models: which sentence is evidence, how strong a page is; each with and without vectors.
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

from pipeline.extractive import evidence
from pipeline.knowledge.chunking import Chunk, chunk
from pipeline.knowledge.documents import Document
from pipeline.knowledge.embedding import MiniLM, PassageVectors
from pipeline.knowledge.found import Found, Retrieved, Vector
from traces.records import Passage

Array = NDArray[np.float64]
MODELS = {
    "sentence": ("cosine", "cosine_z", "coverage", "cue", "length", "first", "gap", "same"),
    "sentence_lexical": ("coverage", "cue", "length", "first", "gap", "same"),
    "strength": ("cosine_max", "cosine_mean", "window", "title", "names"),
    "strength_lexical": ("coverage", "window", "missing", "title", "names"),
}
PROVENANCE = "fitted by evalsets/fit_evidence.py on clapnq_dev (139 questions) and demo_gnome_help (97)"
RIDGE = 3.0  # prior precision of a standardised weight
FOLDS = 10
SEEDS = 5


@dataclass(frozen=True, slots=True)
class Example:
    """A question, what was retrieved for it, whether that answers it, and the gold sentences."""

    question: str
    retrieved: Retrieved
    answerable: bool
    gold: frozenset[int] = frozenset()  # indexes of the annotators' sentences
    source: str = ""
    document_id: str = ""
    edges: tuple[tuple[int, int], ...] = ()  # offsets of the annotated sentences in the document

    def labels(self, page: evidence.Page) -> list[frozenset[int]]:
        """Return for each sentence read the annotated sentences it covers at least half of."""
        return [
            self._covered(page.passages[number].passage, start, len(text))
            for number, start, text in zip(page.owner, page.starts, page.texts, strict=True)
        ]

    def _covered(self, passage: Passage, start: int, length: int) -> frozenset[int]:
        if passage.document_id != self.document_id:
            return frozenset()
        start += int(passage.chunk_id.rpartition("@")[2])
        return frozenset(
            number
            for number, (low, high) in enumerate(self.edges)
            if min(start + length, high) - max(start, low) >= 0.5 * min(length, high - low)
        )


@dataclass(frozen=True, slots=True)
class Shelf:
    """A corpus held in memory: its chunks, where each begins in its document, and its vectors."""

    chunks: list[Chunk]
    starts: list[int]
    vectors: list[PassageVectors]

    def find(self, question: str, vector: Vector, count: int = 5) -> Retrieved:
        scores = np.stack([known.vector for known in self.vectors]) @ vector
        best = np.argsort(-scores, kind="stable")[:count]
        nones = [self._found(int(i), rank, float(scores[i])) for rank, i in enumerate(best, 1)]
        return Retrieved(question, vector, tuple(nones), "fit", None, None)

    def _found(self, index: int, rank: int, score: float) -> Found:
        chunk = self.chunks[index]
        name = f"{chunk.chunk_id}@{self.starts[index]}"
        passage = Passage(
            "", rank, name, chunk.document_id, chunk.title, chunk.url, chunk.text, rank, vector_score=score
        )
        return Found(passage, chunk.spans, self.vectors[index].sentences)


async def shelve(folder: Path, embedder: MiniLM) -> Shelf:
    """Chunk and embed a corpus.jsonl."""
    documents = [Document(r["id"], r["title"], r["text"], r["url"]) for r in lines(folder / "corpus.jsonl")]
    chunks = [piece for document in documents for piece in chunk(document)]
    texts = {document.document_id: document.text for document in documents}
    starts = [texts[piece.document_id].index(piece.text) for piece in chunks]
    embedded = [piece.embedded for piece in chunks]
    vectors = await embedder.embed_passages([text for text, _ in embedded], [spans for _, spans in embedded])
    return Shelf(chunks, starts, vectors)


async def clapnq(folder: Path, embedder: MiniLM, shelf: Shelf) -> tuple[list[Example], list[Example]]:
    """Return the questions with their given passage alone, and with the corpus searched."""
    given, searched = [], []
    for row in lines(folder / "questions.jsonl"):
        edges, text = [], ""
        for sentence in row["sentences"]:
            edges.append((len(text), len(text) + len(sentence)))
            text += sentence + " "
        vector = await embedder.embed_query(row["question"])
        mine = [i for i, piece in enumerate(shelf.chunks) if piece.document_id == row["passage_id"]]
        own = Shelf(
            [shelf.chunks[i] for i in mine], [shelf.starts[i] for i in mine], [shelf.vectors[i] for i in mine]
        )
        common = {
            "question": row["question"],
            "answerable": row["answerable"],
            "gold": frozenset(row["evidence"]),
            "document_id": row["passage_id"],
            "edges": tuple(edges),
        }
        given.append(Example(retrieved=own.find(row["question"], vector), source="given", **common))
        searched.append(Example(retrieved=shelf.find(row["question"], vector), source="searched", **common))
    return given, searched


async def demo(folder: Path, embedder: MiniLM, shelf: Shelf) -> list[Example]:
    """Return the demo's questions with its help pages searched."""
    return [
        Example(
            row["text"],
            shelf.find(row["text"], await embedder.embed_query(row["text"])),
            row["kind"] == "answerable",
            source="demo",
        )
        for row in lines(folder / "queries.jsonl")
    ]


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
class Table:
    """The rows of a model: features, labels, importance, and the example each row comes from."""

    rows: Array
    labels: Array
    importance: Array
    owner: NDArray[np.int64]

    def part(self, keep: NDArray[np.bool_]) -> Table:
        return Table(self.rows[keep], self.labels[keep], self.importance[keep], self.owner[keep])


def tabulate(name: str, examples: Sequence[Example]) -> Table:
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
        weight = 1.0 if sentence else _importance(example)
        importance += [weight] * len(rows[-1])
        owner += [number] * len(rows[-1])
    return Table(np.concatenate(rows), np.array(labels), np.array(importance), np.array(owner))


def _importance(example: Example) -> float:
    """Weigh the demo's few unanswerable questions like its many answerable ones."""
    if example.source == "demo":
        return 1.0 if example.answerable else 75 / 22
    return 0.5  # each question of clapnq_dev comes twice


def without_vectors(retrieved: Retrieved) -> Retrieved:
    bare = tuple(replace(candidate, vectors=None) for candidate in retrieved.found)
    return replace(retrieved, query_vector=None, found=bare)


def held_out(table: Table, groups: NDArray[np.int64], names: Sequence[str], seed: int) -> Array:
    """Return each row's probability by a model that saw no question of its fold."""
    order = np.random.default_rng(seed).permutation(np.unique(groups))
    guesses = np.zeros(len(table.rows))
    for fold in np.array_split(order, FOLDS):
        inside = np.isin(groups[table.owner], fold)
        seen = table.part(~inside)
        guesses[inside] = fit(seen.rows, seen.labels, seen.importance, names)(table.rows[inside])
    return guesses


def threshold(guesses: Array, labels: Array) -> float:
    """Return the middle of the range that best parts the two kinds (Youden's J)."""
    steps = np.linspace(0.01, 0.99, 99)
    good = [np.mean(guesses[labels > 0.5] >= step) + np.mean(guesses[labels < 0.5] < step) for step in steps]
    return float(steps[np.isclose(good, max(good))].mean())


def fit_sentences(name: str, examples: Sequence[Example], groups: NDArray[np.int64]) -> Fit:
    """Fit a sentence model; print its held-out evidence F1 beside that of the first three sentences."""
    table = tabulate(name, examples)
    pages = {
        number: evidence.Page(examples[number].question, examples[number].retrieved)
        for number in set(table.owner)
    }
    for source in ("given", "searched"):
        mine = [number for number in pages if examples[number].source == source]
        labels = {number: examples[number].labels(pages[number]) for number in mine}
        ours = []
        for seed in range(SEEDS):
            guesses = held_out(table, groups, MODELS[name], seed)
            for number in mine:
                chosen = evidence.choose(guesses[table.owner == number].tolist())
                ours.append(f1([labels[number][i] for i in chosen], examples[number].gold))
        first = [
            f1(labels[number][: min(3, pages[number].owner.count(0))], examples[number].gold)
            for number in mine
        ]
        print(
            f"{name}, {source}: evidence F1 {np.mean(ours):.3f}, first three sentences {np.mean(first):.3f}"
        )
    return fit(table.rows, table.labels, table.importance, MODELS[name])


def fit_strength(name: str, examples: Sequence[Example], groups: NDArray[np.int64]) -> Fit:
    """Fit a strength model, moved so that 0.5 is where the demo is parted best; print held-out AUCs."""
    table = tabulate(name, examples)
    source = np.array([examples[number].source for number in table.owner])
    scores = [held_out(table, groups, MODELS[name], seed) for seed in range(SEEDS)]
    demo = source == "demo"
    cut = float(np.mean([threshold(guesses[demo], table.labels[demo]) for guesses in scores]))
    for kind in ("given", "searched", "demo"):
        mine = source == kind
        area = np.mean([auc(guesses[mine], table.labels[mine]) for guesses in scores])
        silent = np.mean([guesses[mine & (table.labels < 0.5)] < cut for guesses in scores])
        lost = np.mean([guesses[mine & (table.labels > 0.5)] < cut for guesses in scores])
        print(
            f"{name}, {kind}: AUC {area:.3f}; abstains on {silent:.0%} of unanswerable, {lost:.0%} of others"
        )
    fitted = fit(table.rows, table.labels, table.importance, MODELS[name])
    return replace(fitted, bias=fitted.bias - float(np.log(cut / (1 - cut))))


async def gather(folder: Path) -> list[Example]:
    embedder = MiniLM()
    wiki = await shelve(folder / "clapnq_dev", embedder)
    given, searched = await clapnq(folder / "clapnq_dev", embedder, wiki)
    pages = await shelve(folder / "demo_gnome_help", embedder)
    return given + searched + await demo(folder / "demo_gnome_help", embedder, pages)


def write(examples: Sequence[Example], path: Path = evidence.WEIGHTS) -> None:
    """Fit all four models and write them."""
    _, groups = np.unique([example.question for example in examples], return_inverse=True)
    fits = {
        name: (fit_sentences if name.startswith("sentence") else fit_strength)(name, examples, groups)
        for name in MODELS
    }
    record = {"provenance": PROVENANCE} | {name: fitted.plain() for name, fitted in fits.items()}
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    write(asyncio.run(gather(Path(sys.argv[1]))))
