"""Brings documents into a knowledge base: only what changed, whole documents per commit."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.knowledge import vectors as vector_files
from pipeline.knowledge.chunking import Chunk, chunk
from pipeline.knowledge.documents import Document, Skipped, cleaned, read
from pipeline.knowledge.embedding import Embedder, EmbedError, PassageVectors
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.rows import Entry
from pipeline.knowledge.standing import Lag
from pipeline.knowledge.vectors import VectorFile

SAMPLE = Path(__file__).parent / "sample"
BATCH_CHUNKS = 128  # chunks per commit, rounded up to whole documents
Progress = Callable[[int, int, str], None]  # documents done, documents in all, the document's id
Ready = dict[bytes, PassageVectors]


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingestion did. `skipped` names what was left out and why; `pending` documents wait
    for the next run because of `problem`."""

    added: int
    updated: int
    unchanged: int
    removed: int
    skipped: tuple[tuple[str, str], ...]
    chunks: int
    seconds: float
    version: str | None
    pending: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A document that is new or changed, cut and hashed."""

    document: Document
    chunks: tuple[Chunk, ...]
    content: str
    known: bool


@dataclass(slots=True)
class Sorted:
    """The given documents, by what is to be done about them."""

    waiting: list[Waiting] = field(default_factory=list)
    unchanged: int = 0
    seen: set[str] = field(default_factory=set)
    skipped: list[tuple[str, str]] = field(default_factory=list)


async def ingest(
    paths: Sequence[Path | str],
    kb: str,
    knowledge: Knowledge,
    progress: Progress | None = None,
    *,
    prune: bool = False,
) -> Ingested:
    """Bring files and folders into a knowledge base; see `store`.

    Raises KnowledgeError when a path does not exist or the knowledge base cannot be written.
    """
    found = await asyncio.to_thread(lambda: list(read(Path(path) for path in paths)))
    documents = [one for one in found if isinstance(one, Document)]
    skipped = [(one.name, one.reason) for one in found if isinstance(one, Skipped)]
    return await store(documents, kb, knowledge, progress, prune=prune, skipped=skipped)


async def store(
    documents: Iterable[Document],
    kb: str,
    knowledge: Knowledge,
    progress: Progress | None = None,
    *,
    prune: bool = False,
    ready: Ready | None = None,
    skipped: Sequence[tuple[str, str]] = (),
) -> Ingested:
    """Store the documents that are new or changed and release a version.

    Stopped half-way, a second run goes on where the first ended. `prune` removes the documents
    that were not given; `ready` holds vectors known already.
    """
    async with knowledge.writing(kb):
        return await _store(documents, kb, knowledge, progress, prune, ready or {}, skipped)


async def _store(
    documents: Iterable[Document],
    kb: str,
    knowledge: Knowledge,
    progress: Progress | None,
    prune: bool,
    ready: Ready,
    skipped: Sequence[tuple[str, str]],
) -> Ingested:
    began = time.monotonic()
    known = await knowledge.contents(kb)
    work = await asyncio.to_thread(_sort, documents, known)
    work.skipped[:0] = skipped
    writer = _Writer(kb, knowledge, ready, len(work.waiting), progress)
    problem = await writer.write(work.waiting)
    gone = [key for key in known if key not in work.seen] if prune and problem is None else []
    if gone:
        await knowledge.drop(kb, gone)
    version = await knowledge.release(kb) if writer.stored or gone else None
    if version is None and known:
        await knowledge.mend(kb)
    stored = [one.known for one in writer.stored]
    return Ingested(
        added=stored.count(False),
        updated=stored.count(True),
        unchanged=work.unchanged,
        removed=len(gone),
        skipped=(*work.skipped, *writer.failed.items()),
        chunks=sum(len(one.chunks) for one in writer.stored),
        seconds=time.monotonic() - began,
        version=version,
        pending=len(work.waiting) - len(writer.stored) - len(writer.failed),
        problem=problem,
    )


async def ensure_sample(knowledge: Knowledge, kb: str, progress: Progress | None = None) -> Ingested | None:
    """Load the shipped sample, unless the knowledge base holds other documents; None when it does."""
    documents = sample()
    known = await knowledge.contents(kb)
    if not known.keys() <= {document.key for document in documents}:
        return None
    return await store(documents, kb, knowledge, progress, ready=sample_vectors(knowledge.embedder))


def sample() -> list[Document]:
    """Return the documents of the shipped sample."""
    lines = (SAMPLE / "documents.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [cleaned(Document(row["id"], row["title"], row["text"], row["url"])) for row in rows]


class _Writer:
    """Embeds and stores waiting documents batch by batch, and keeps the lag on disk."""

    def __init__(
        self, kb: str, knowledge: Knowledge, ready: Ready, total: int, progress: Progress | None
    ) -> None:
        self.stored: list[Waiting] = []
        self.failed: dict[str, str] = {}
        self._kb = kb
        self._knowledge = knowledge
        self._ready = ready
        self._total = total
        self._progress = progress
        embedder = knowledge.embedder
        self._files = VectorFile(knowledge.folder.parent / "vectors", embedder.fingerprint)

    async def write(self, waiting: Sequence[Waiting]) -> str | None:
        """Store all that can be; returns why the rest must wait, or None."""
        self._note()
        for batch in _batches(waiting):
            try:
                await self._store(batch)
            except EmbedError as error:
                if error.error_class != "embed_invalid":
                    return f"{error}; run the ingestion again to store the rest"
                await self._one_by_one(batch)
            self._note()
        return None

    async def _store(self, batch: Sequence[Waiting]) -> None:
        entries = await _embed(batch, self._knowledge.embedder, self._files, self._ready)
        await self._knowledge.write(self._kb, entries)
        for one in batch:
            self.stored.append(one)
            if self._progress is not None:
                done = len(self.stored) + len(self.failed)
                self._progress(done, self._total, one.document.document_id)

    async def _one_by_one(self, batch: Sequence[Waiting]) -> None:
        """Store each document apart, so that one bad vector costs one document."""
        for one in batch:
            try:
                await self._store([one])
            except EmbedError as error:
                if error.error_class != "embed_invalid":
                    raise
                self.failed[one.document.document_id] = str(error)

    def _note(self) -> None:
        pending = self._total - len(self.stored) - len(self.failed)
        self._knowledge.note(self._kb, Lag(pending, dict(self.failed)))


def _sort(documents: Iterable[Document], known: dict[str, str]) -> Sorted:
    """Tell what is new or changed from what is stored already or cannot be."""
    work = Sorted()
    for document in map(cleaned, documents):
        name, key = document.document_id, document.key
        if key in work.seen:
            work.skipped.append((name, "another document has the same id"))
            continue
        chunks = tuple(chunk(document))
        if not chunks:
            work.skipped.append((name, "no text in it"))
            continue
        work.seen.add(key)
        content = _content(document, chunks)
        if known.get(key) == content:
            work.unchanged += 1
        else:
            work.waiting.append(Waiting(document, chunks, content, key in known))
    return work


def _content(document: Document, chunks: Sequence[Chunk]) -> str:
    """Hash all that is stored of a document, so that another way of cutting counts as a change."""
    digest = hashlib.blake2b(digest_size=16)
    for text in (document.title, document.url):
        digest.update(text.encode() + b"\0")
    for one in chunks:
        digest.update(vector_files.key(*one.embedded))
    return digest.hexdigest()


def _batches(waiting: Sequence[Waiting]) -> Iterator[list[Waiting]]:
    batch: list[Waiting] = []
    size = 0
    for one in waiting:
        batch.append(one)
        size += len(one.chunks)
        if size >= BATCH_CHUNKS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _embed(
    batch: Sequence[Waiting], embedder: Embedder, files: VectorFile, ready: Ready
) -> list[Entry]:
    """Give every chunk its vectors, from memory or disk where they are known."""
    found: Ready = {}
    missing: dict[bytes, Chunk] = {}
    keys = {one.chunk_id: vector_files.key(*one.embedded) for each in batch for one in each.chunks}
    for one in (one for each in batch for one in each.chunks):
        key = keys[one.chunk_id]
        vectors = ready.get(key) or files.get(key)
        if vectors is None:
            missing[key] = one
        else:
            found[key] = vectors
    if missing:
        texts = [one.embedded for one in missing.values()]
        made = await embedder.embed_passages([text for text, _ in texts], [spans for _, spans in texts])
        fresh = list(zip(missing, made, strict=True))
        await asyncio.to_thread(files.put, fresh)
        found.update(fresh)
    return [
        Entry(
            each.document.key,
            each.content,
            each.chunks,
            tuple(found[keys[one.chunk_id]] for one in each.chunks),
        )
        for each in batch
    ]


def sample_vectors(embedder: Embedder) -> Ready:
    """Return the shipped vectors by key; none when another embedder made them."""
    with np.load(SAMPLE / "vectors.npz") as file:
        if str(file["fingerprint"]) != embedder.fingerprint:
            return {}
        keys, ends, rows = file["keys"], file["ends"].tolist(), file["rows"]
    return {
        key.tobytes(): vector_files.unpack(rows[start:end], True)
        for key, start, end in zip(keys, [0, *ends[:-1]], ends, strict=True)
    }
