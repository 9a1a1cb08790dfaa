"""The questions that the evidence weights are fitted on, each with what is retrieved for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evalsets.cases.cases import load_evalset
from evalsets.cases.evalset import messages
from pipeline.context.condenser import needs_history, rewrite, split
from pipeline.extractive import evidence
from pipeline.knowledge import vector_files
from pipeline.knowledge.chunking import Chunk, chunk
from pipeline.knowledge.documents import Document
from pipeline.knowledge.embedding import MiniLM, PassageVectors, checked
from pipeline.knowledge.found import Retrieved, RetrievedChunk, Vector
from pipeline.knowledge.ingest import sample, sample_vectors
from traces.records import Passage

History = Sequence[Mapping[str, Any]]
EVIDENCE = Path(__file__).parent / "training" / "everyday.tsv"


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
    marks: tuple[str, ...] = ()  # or what the sentences that answer have
    pages: frozenset[str] = frozenset()  # documents that are labelled right

    @property
    def of(self) -> str:
        """The set it comes from."""
        return "clapnq_dev" if self.source in ("given", "searched") else self.source

    def labels(self, page: evidence.Page) -> list[frozenset[int]]:
        """Return for each sentence read the annotated sentences it covers at least half of."""
        if self.marks:
            return [frozenset(n for n, part in enumerate(self.marks) if part in text) for text in page.texts]
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
class CorpusShelf:
    """A corpus held in memory: its chunks, where each begins in its document, and its vectors."""

    chunks: list[Chunk]
    starts: list[int]
    vectors: list[PassageVectors]

    def find(self, question: str, vector: Vector, count: int = 5) -> Retrieved:
        scores = np.stack([row.vector for row in self.vectors]) @ vector
        best = np.argsort(-scores, kind="stable")[:count]
        nones = [self._found(int(i), rank, float(scores[i])) for rank, i in enumerate(best, 1)]
        return Retrieved(question, vector, tuple(nones), "fit", None, None)

    def _found(self, index: int, rank: int, score: float) -> RetrievedChunk:
        chunk = self.chunks[index]
        name = f"{chunk.chunk_id}@{self.starts[index]}"
        passage = Passage(
            "", rank, name, chunk.document_id, chunk.title, chunk.url, chunk.text, rank, vector_score=score
        )
        return RetrievedChunk(passage, chunk.spans, self.vectors[index].sentences)


async def shelve(path: Path, embedder: MiniLM) -> CorpusShelf:
    """Chunk and embed a corpus.jsonl."""
    documents = [Document(r["id"], r["title"], r["text"], r.get("url", "")) for r in lines(path)]
    chunks = [passage for document in documents for passage in chunk(document)]
    texts = {document.document_id: document.text for document in documents}
    starts = [max(texts[passage.document_id].find(passage.text), 0) for passage in chunks]
    embedded = [passage.embedded for passage in chunks]
    vectors = await embedder.embed_passages([text for text, _ in embedded], [spans for _, spans in embedded])
    return CorpusShelf(chunks, starts, vectors)


def handbook(embedder: MiniLM) -> CorpusShelf:
    """Return the shipped pages with the vectors that are shipped beside them."""
    chunks, ready = [passage for page in sample() for passage in chunk(page)], sample_vectors(embedder)
    return CorpusShelf(
        chunks, [0] * len(chunks), [ready[vector_files.key(*passage.embedded)] for passage in chunks]
    )


async def clapnq(folder: Path, embedder: MiniLM, shelf: CorpusShelf) -> tuple[list[Example], list[Example]]:
    """Return the questions with their given passage alone, and with the corpus searched."""
    given, within = [], []
    for row in lines(folder / "questions.jsonl"):
        edges, text = [], ""
        for sentence in row["sentences"]:
            edges.append((len(text), len(text) + len(sentence)))
            text += sentence + " "
        vector = await embedder.embed_query(row["question"])
        mine = [i for i, passage in enumerate(shelf.chunks) if passage.document_id == row["passage_id"]]
        own = CorpusShelf(
            [shelf.chunks[i] for i in mine], [shelf.starts[i] for i in mine], [shelf.vectors[i] for i in mine]
        )
        common = {
            "question": row["question"],
            "answerable": row["answerable"],
            "gold": frozenset(row["evidence"]),
            "document_id": row["passage_id"],
            "pages": frozenset({row["passage_id"]} if row["answerable"] else ()),
            "edges": tuple(edges),
        }
        given.append(Example(retrieved=own.find(row["question"], vector), source="given", **common))
        within.append(Example(retrieved=shelf.find(row["question"], vector), source="searched", **common))
    return given, within


async def demo(folder: Path, embedder: MiniLM, shelf: CorpusShelf) -> list[Example]:
    """Return the demo's questions with its help pages searched."""
    right = labels(folder / "qrels.tsv")
    examples: list[Example] = []
    for row in lines(folder / "queries.jsonl"):
        known_answer = row["kind"] == "answerable"
        example = await searched(row["text"], (), shelf, embedder, known_answer, "demo_gnome_help")
        examples.append(replace(example, pages=right.get(row["id"], frozenset())))
    return examples


async def searched(
    question: str, history: History, shelf: CorpusShelf, embedder: MiniLM, answerable: bool, source: str
) -> Example:
    """Return a question as a turn would search for it."""
    earlier = messages(history)
    query = rewrite(question, earlier) if needs_history(question, earlier) else question
    vector = await embedder.embed_query(query)
    own, topic = split(query)
    if topic:
        vector = checked(vector + await embedder.embed_query(own), embedder.dimensions)
    return Example(query, shelf.find(query, vector), answerable, source=source)


async def conversations(folder: Path, embedder: MiniLM, shelf: CorpusShelf) -> list[Example]:
    """Return the turns of mtrag_cloud that ask something."""
    kinds = {"ANSWERABLE": True, "PARTIAL": True, "UNANSWERABLE": False}
    right = labels(folder / "qrels.tsv")
    examples: list[Example] = []
    for row in lines(folder / "tasks.jsonl"):
        if row["answerability"] not in kinds:
            continue
        answerable = kinds[row["answerability"]]
        example = await searched(row["question"], row["history"], shelf, embedder, answerable, "mtrag_cloud")
        examples.append(replace(example, pages=right.get(row["id"], frozenset())))
    return examples


def labels(path: Path) -> dict[str, frozenset[str]]:
    """Return the right documents of each query of a qrels.tsv."""
    right: dict[str, set[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        query, document, score = line.split("\t")[:3]
        if float(score) > 0:
            right.setdefault(query, set()).add(document)
    return {query: frozenset(documents) for query, documents in right.items()}


async def own(name: str, embedder: MiniLM, tag: str | None = None) -> list[Example]:
    """Return the questions of one of our sets, its documents searched."""
    evalset, marks = load_evalset(name), evidence_of()
    shelf = handbook(embedder) if evalset.corpus is None else await shelve(evalset.corpus, embedder)
    examples: list[Example] = []
    for case in evalset.cases:
        if case.answerability == "conversational" or (tag and tag not in (case.tags or ())):
            continue
        answerable = case.answerability in ("answerable", "partial")
        example = await searched(case.question, case.history or (), shelf, embedder, answerable, name)
        its = marks.get(case.case_id, ()) if name == "everyday" else ()
        pages = frozenset(case.relevant_ids or ())
        examples.append(replace(example, gold=frozenset(range(len(its))), marks=its, pages=pages))
    return examples


def evidence_of() -> dict[str, tuple[str, ...]]:
    """Return for each case of `everyday` what the sentences that answer it have."""
    rows = (line.split("\t") for line in EVIDENCE.read_text(encoding="utf-8").splitlines()[1:])
    return {case: tuple(marks) for case, *marks in rows}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
