"""The 2,000 passages and the questions that ours and the bare SDK's turn both work on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalsets.cases.cases import load_evalset
from pipeline.build import knowledge
from pipeline.knowledge import vector_files
from pipeline.knowledge.chunking import Chunk, chunk
from pipeline.knowledge.documents import Document
from pipeline.knowledge.embedding import Embedder, PassageVectors
from pipeline.knowledge.ingest import Ready, sample, sample_vectors, store
from pipeline.settings import load_settings

KB = "bench"
PASSAGES = 2_000
UNANSWERED = frozenset({"h002", "h004", "h015", "h067", "h077"})  # with some ticket, no model is asked
NOISE = 0.02  # per dimension; keeps the editions of a passage apart


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents, and the vectors of each of their chunks: nothing is embedded here."""

    documents: list[Document]
    chunks: list[Chunk]
    vectors: Ready


def corpus(embedder: Embedder, passages: int = PASSAGES) -> Corpus:
    """Return editions of the sample until there are so many passages; always the same ones.

    An edition has the sample's text under another title, and its vectors a little turned.
    """
    ready, random = sample_vectors(embedder), np.random.default_rng(1)
    texts = Corpus([], [], {})
    for number, document in enumerate(itertools.cycle(pages := sample())):
        edition = number // len(pages) + 1
        title = f"{document.title} (edition {edition})"
        named = replace(document, document_id=f"{document.document_id}-{edition}", title=title)
        for own, base in zip(chunk(named), chunk(document), strict=False):
            vectors = ready.get(vector_files.key(*base.embedded))
            if vectors is None or len(own.spans) != len(base.spans):
                break  # the longer title cut this page otherwise; the next one will do
            texts.vectors[vector_files.key(*own.embedded)] = _turned(vectors, random)
            texts.chunks.append(own)
        else:
            texts.documents.append(named)
        if len(texts.chunks) >= passages:
            return texts
    raise AssertionError("editions never end")


def questions(start: int = 0) -> Iterator[str]:
    """Yield questions that the sample answers by themselves, no two alike."""
    answerable = [case for case in load_evalset("demo").cases if case.answerability == "answerable"]
    cases = [case for case in answerable if not case.history and case.case_id not in UNANSWERED]
    for number in itertools.count(start):
        yield f"{cases[number * 7 % len(cases)].question} (ticket {number + 1})"


async def save(texts: Corpus, data_dir: Path, peer: Path, embedder: Embedder) -> None:
    """Store the corpus as a knowledge base for us and as one file of arrays for the peer."""
    await store(
        texts.documents, KB, knowledge(load_settings(data_dir=data_dir), embedder), ready=texts.vectors
    )
    vectors = [texts.vectors[vector_files.key(*passage.embedded)].vector for passage in texts.chunks]
    np.savez(peer, texts=np.array([passage.text for passage in texts.chunks]), vectors=np.stack(vectors))


def _turned(vectors: PassageVectors, random: np.random.Generator) -> PassageVectors:
    def turn(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        moved = rows + random.normal(0, NOISE, rows.shape).astype(np.float32)
        return moved / np.linalg.norm(moved, axis=-1, keepdims=True)

    sentences = None if vectors.sentences is None else turn(vectors.sentences)
    return PassageVectors(turn(vectors.vector), sentences, vectors.expansion)
