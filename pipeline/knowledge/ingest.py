"""Brings documents into a knowledge base: only what changed, a batch of whole documents a commit."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.knowledge import vectors as vector_files
from pipeline.knowledge.chunking import SCHEME, Chunk, chunk
from pipeline.knowledge.documents import Document, clean
from pipeline.knowledge.embedding import Embedder, PassageVectors
from pipeline.knowledge.index import Entry, Knowledge
from pipeline.knowledge.vectors import VectorFile

SAMPLE = Path(__file__).parent / "sample"
BATCH_CHUNKS = 128  # chunks per commit, whole documents only
Progress = Callable[[int, int, str], None]  # documents done, documents in all, the document's id


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingestion did; `skipped` names each document left out and why."""

    added: int
    updated: int
    unchanged: int
    removed: int
    skipped: tuple[tuple[str, str], ...]
    chunks: int
    seconds: float
    version: str | None


@dataclass(slots=True)
class Waiting:
    """A document that is new or changed."""

    document: Document
    content: str
    known: bool


async def store(
    documents: Iterable[Document],
    kb: str,
    knowledge: Knowledge,
    progress: Progress | None = None,
    *,
    prune: bool = False,
    ready: dict[bytes, PassageVectors] | None = None,
    skipped: Sequence[tuple[str, str]] = (),
) -> Ingested:
    """Store the documents that are new or changed and release a version.

    Stopped half-way, a second run goes on where the first ended. `prune` removes documents that
    were not given; `ready` holds vectors known already.
    """
    began = time.monotonic()
    known = await knowledge.contents(kb)
    waiting, unchanged, seen, left_out = _sort(documents, known)
    files = VectorFile(
        knowledge.folder.parent / "vectors", knowledge.embedder.fingerprint, knowledge.embedder.dimensions
    )
    chunks = done = 0
    for batch in _batches(waiting):
        entries = await _embed(batch, knowledge.embedder, files, ready or {})
        await knowledge.write(kb, entries)
        for one in batch:
            done += 1
            if progress is not None:
                progress(done, len(waiting), one.document.document_id)
        chunks += sum(len(entry.chunks) for entry in entries)
    gone = [key for key in known if key not in seen] if prune else []
    if gone:
        await knowledge.drop(kb, gone)
    version = await knowledge.release(kb) if waiting or gone else None
    return Ingested(
        added=sum(not one.known for one in waiting),
        updated=sum(one.known for one in waiting),
        unchanged=unchanged,
        removed=len(gone),
        skipped=(*skipped, *left_out),
        chunks=chunks,
        seconds=time.monotonic() - began,
        version=version,
    )


async def ensure_sample(knowledge: Knowledge, kb: str, progress: Progress | None = None) -> Ingested | None:
    """Load the shipped sample, unless the knowledge base holds other documents; None when it does."""
    documents = sample()
    known = await knowledge.contents(kb)
    if not known.keys() <= {document.key for document in documents}:
        return None
    return await store(documents, kb, knowledge, progress, ready=_sample_vectors(knowledge.embedder))


def sample() -> list[Document]:
    """Return the documents of the shipped sample."""
    lines = (SAMPLE / "documents.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [Document(row["id"], row["title"], row["text"], row["url"]) for row in rows]


def cleaned(document: Document) -> Document:
    """Return the document with all it shows and stores made clean."""
    return replace(
        document,
        document_id=clean(document.document_id),
        title=clean(document.title),
        text=clean(document.text),
        url=clean(document.url),
    )


def _sample_vectors(embedder: Embedder) -> dict[bytes, PassageVectors]:
    """Return the shipped vectors by key; none when they were made by another embedder."""
    with np.load(SAMPLE / "vectors.npz") as file:
        if str(file["fingerprint"]) != embedder.fingerprint:
            return {}
        keys, ends, rows = file["keys"], file["ends"], file["rows"]
    starts = [0, *ends[:-1].tolist()]
    return {
        key.tobytes(): vector_files.unpack(rows[start:end], True)
        for key, start, end in zip(keys, starts, ends.tolist(), strict=True)
    }


def _sort(
    documents: Iterable[Document], known: dict[str, str]
) -> tuple[list[Waiting], int, set[str], list[tuple[str, str]]]:
    """Tell what is new or changed from what is stored already or cannot be."""
    waiting: list[Waiting] = []
    seen: set[str] = set()
    left_out: list[tuple[str, str]] = []
    unchanged = 0
    for raw in documents:
        document = cleaned(raw)
        if not document.text:
            left_out.append((document.document_id, "no text in it"))
        elif document.key in seen:
            left_out.append((document.document_id, "another document has the same id"))
        else:
            seen.add(document.key)
            content = _content(document)
            if known.get(document.key) == content:
                unchanged += 1
            else:
                waiting.append(Waiting(document, content, document.key in known))
    return waiting, unchanged, seen, left_out


def _batches(waiting: list[Waiting]) -> Iterable[list[Waiting]]:
    batch: list[Waiting] = []
    size = 0
    for one in waiting:
        batch.append(one)
        size += 1 + len(one.document.text) // 800
        if size >= BATCH_CHUNKS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _embed(
    batch: list[Waiting], embedder: Embedder, files: VectorFile, ready: dict[bytes, PassageVectors]
) -> list[Entry]:
    """Chunk the documents and give every chunk its vectors, from memory where they are known."""
    chunked = [tuple(chunk(one.document)) for one in batch]
    found: dict[bytes, PassageVectors] = {}
    missing: dict[bytes, Chunk] = {}
    for one in (one for chunks in chunked for one in chunks):
        key = vector_files.key(*one.embedded)
        vectors = ready.get(key) or files.get(key)
        if vectors is None:
            missing[key] = one
        else:
            found[key] = vectors
    if missing:
        texts = [one.embedded for one in missing.values()]
        made = await embedder.embed_passages([text for text, _ in texts], [spans for _, spans in texts])
        fresh = list(zip(missing, made, strict=True))
        files.put(fresh)
        found.update(fresh)
    return [
        Entry(
            one.document.key, one.content, chunks, tuple(found[vector_files.key(*c.embedded)] for c in chunks)
        )
        for one, chunks in zip(batch, chunked, strict=True)
    ]


def _content(document: Document) -> str:
    """Hash what the stored chunks depend on: the document and the way it is cut."""
    parts = "\0".join((SCHEME, document.title, document.url, document.text))
    return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()
