"""The columns of a knowledge base's table, and the way into and out of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.knowledge.bm25 import Bm25
from pipeline.knowledge.chunking import Chunk
from pipeline.knowledge.embedding import PassageVectors, Spans
from pipeline.knowledge.pieces import Pieces
from pipeline.knowledge.shelf import COLUMNS, EXPANSION, PAGE, SCREENED, Keys, checksum

log = logging.getLogger(__name__)
EMBEDDER = b"answerdeck.embedder"
Screen = Callable[[str, Spans], bytes]  # what the passage guard keeps of a text and its sentences


@dataclass(frozen=True, slots=True)
class ReadyDocument:
    """A document ready to be stored: its key, its content hash, its chunks and their vectors."""

    key: str
    content: str
    chunks: tuple[Chunk, ...]
    vectors: tuple[PassageVectors, ...]
    source: str = ""


def schema(fingerprint: str, dimensions: int) -> Any:
    """Return the Arrow schema; the embedder's fingerprint travels in its metadata."""
    import pyarrow as pa

    text, blob = pa.string(), pa.binary()
    return pa.schema(
        [
            pa.field("chunk_id", text),
            pa.field("document_id", text),
            pa.field("document_key", text),
            pa.field("content", text),
            pa.field("title", text),
            pa.field("url", text),
            pa.field("text", text),
            pa.field("searched", text),
            pa.field("position", pa.int32()),
            pa.field("vector", pa.list_(pa.float32(), dimensions)),
            pa.field("spans", blob),
            pa.field("sentences", blob),
            pa.field("checksum", text),
            pa.field("source", text),
            pa.field(SCREENED, blob),
            pa.field(EXPANSION, blob),
        ],
        metadata={EMBEDDER: fingerprint.encode()},
    )


def packed(entries: Sequence[ReadyDocument], schema: Any, screen: Screen | None = None) -> Any:
    """Return the entries as an Arrow table, with what `screen` sees in each chunk."""
    import pyarrow as pa

    rows = [
        {
            "chunk_id": chunk.chunk_id,
            "document_id": chunk.document_id,
            "document_key": entry.key,
            "content": entry.content,
            "title": chunk.title,
            "url": chunk.url,
            "text": chunk.text,
            "searched": chunk.searched,
            "position": chunk.position,
            "vector": vectors.vector,
            "spans": np.array(chunk.spans, np.int32).tobytes(),
            "sentences": None
            if vectors.sentences is None
            else vectors.sentences.astype(np.float16).tobytes(),
            "checksum": checksum(chunk.chunk_id, chunk.title, chunk.url, chunk.text),
            "source": entry.source,
            SCREENED: None if screen is None else screen(chunk.text, chunk.spans),
            EXPANSION: vectors.expansion,
        }
        for entry in entries
        for chunk, vectors in zip(entry.chunks, entry.vectors, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def unpacked(
    rows: Any, kb: str
) -> tuple[dict[str, list[Any]], Keys, NDArray[np.float32], Bm25, Pieces | None]:
    """Take columns, pages, vectors, words and expansions out of Arrow, without rows whose checksum fails."""
    columns = {name: rows[name].to_pylist() for name in (*COLUMNS, SCREENED) if name in rows.column_names}
    shown = zip(*(columns[name] for name in ("chunk_id", "title", "url", "text")), strict=True)
    vectors = matrix(rows)
    whole = np.abs(np.linalg.norm(vectors, axis=1) - 1.0) < 0.01
    sums = zip(shown, columns["checksum"], whole, strict=True)
    sound = [bool(norm) and checksum(*texts) == stored for texts, stored, norm in sums]
    if not all(sound):
        log.error("knowledge base %r: %d damaged chunks are left out", kb, sound.count(False))
        rows, vectors = rows.take(np.flatnonzero(sound)), vectors[np.array(sound)]
        columns = {name: list(compress(values, sound)) for name, values in columns.items()}
    _, documents = np.unique(np.array(rows["document_key"].to_pylist(), np.str_), return_inverse=True)
    pages = documents.astype(np.int64) * 2**32 + rows["position"].to_numpy() // PAGE
    expansions = rows[EXPANSION].to_pylist() if EXPANSION in rows.column_names else []
    return columns, pages, vectors, Bm25(rows["searched"].to_pylist()), Pieces.of(expansions)


def matrix(rows: Any) -> NDArray[np.float32]:
    """Return the vectors of Arrow rows as one matrix."""
    vectors = rows["vector"].combine_chunks()
    flat = vectors.flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(flat, np.float32).reshape(-1, vectors.type.list_size)
