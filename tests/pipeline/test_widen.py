"""A widened passage keeps its sentences, vectors and order; gaps and strangers end it."""

from __future__ import annotations

import numpy as np

from pipeline.context.widen import widen
from pipeline.knowledge.found import RetrievedChunk
from pipeline.knowledge.shelf import StoredChunk
from pipeline.text.sentences import sentences
from tests.factories import make_passage


def row(position: int, text: str, document: str = "doc", vectors: bool = True) -> StoredChunk:
    spans = tuple(sentences(text))
    known = np.full((len(spans), 2), position, np.float32) if vectors else None
    return StoredChunk(f"{document}#{position}", document, "", "", text, spans, known)


def found(position: int, text: str) -> RetrievedChunk:
    one = row(position, text)
    passage = make_passage(chunk_id=one.chunk_id, document_id="doc", text=text)
    return RetrievedChunk(passage, one.spans, one.vectors)


def cut(found: RetrievedChunk) -> list[str]:
    return [(found.passage.text or "")[start:end] for start, end in found.spans]


def test_neighbours_are_joined_in_order() -> None:
    wide = widen(found(1, "Second. Third."), [row(2, "Fourth."), row(0, "First.")])
    assert cut(wide) == ["First.", "Second.", "Third.", "Fourth."]
    assert wide.vectors is not None and wide.vectors[:, 0].tolist() == [0, 1, 1, 2]
    assert wide.passage.chunk_id == "doc#1"


def test_reach_gaps_and_other_documents_end_it() -> None:
    others = [row(0, "Far."), row(2, "Near."), row(3, "Next."), row(6, "Gone."), row(5, "Other.", "stranger")]
    assert cut(widen(found(4, "Here."), others, reach=1)) == ["Next.", "Here."]
    assert cut(widen(found(4, "Here."), others)) == ["Near.", "Next.", "Here."]


def test_without_all_vectors_there_are_none() -> None:
    assert widen(found(0, "Here."), [row(1, "Next.", vectors=False)]).vectors is None


def test_a_chunk_without_a_position_stays() -> None:
    alone = RetrievedChunk(make_passage(chunk_id="doc", text="Here."), ((0, 5),))
    assert widen(alone, [row(1, "Next.")]) is alone
