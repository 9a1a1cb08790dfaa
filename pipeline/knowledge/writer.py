"""Embeds and stores waiting documents batch by batch; what cannot be stored is named."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from pipeline.knowledge import vector_files
from pipeline.knowledge.chunking import Chunk
from pipeline.knowledge.embedding import Embedder, EmbedError, PassageVectors
from pipeline.knowledge.expanding import expander
from pipeline.knowledge.expansion import Expander
from pipeline.knowledge.identity import Prepared
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.rows import ReadyDocument
from pipeline.knowledge.standing import Lag
from pipeline.knowledge.vector_files import VectorFile

log = logging.getLogger(__name__)
BATCH_CHUNKS = 128  # per commit, rounded up to whole documents
NAMED = 50  # waiting documents whose titles are kept
Progress = Callable[[int, int, str], None]  # documents done, documents in all, the document's id
Ready = dict[bytes, PassageVectors]


@dataclass(frozen=True, slots=True)
class WaitingDocument:
    """A document to be stored: `known` when it is there already, `adopted` when only its file moved."""

    prepared: Prepared
    stored: bool
    adopted: bool = False


Batch = Sequence[WaitingDocument]
Coming = asyncio.Task[list[ReadyDocument]]


class Writer:
    """Embeds and stores waiting documents batch by batch, and keeps the lag on disk."""

    def __init__(
        self, kb: str, knowledge: Knowledge, ready: Ready, total: int, progress: Progress | None
    ) -> None:
        self.stored: list[WaitingDocument] = []
        self.failed: dict[str, str] = {}
        self._left: list[WaitingDocument] = []
        self._kb = kb
        self._knowledge = knowledge
        self._ready = ready
        self._total = total
        self._progress = progress
        self._since = time.time()
        embedder = knowledge.embedder
        self._expander: Expander | None = None
        self._files = VectorFile(knowledge.folder.parent / "vectors", embedder.fingerprint)

    async def write(self, waiting: Sequence[WaitingDocument]) -> str | None:
        """Store all that can be; returns why the rest must wait, or None."""
        self._expander = await self._expands(waiting)
        left = self._left = list(waiting)
        self._note(left)
        async with aclosing(self._embedded(waiting)) as batches:
            async for batch, entries in batches:
                try:
                    await self._keep(batch, await entries)
                except EmbedError as error:
                    if error.error_class != "embed_invalid":
                        return f"{error}; run the ingestion again to store the rest"
                    await self._one_by_one(batch)
                left = left[len(batch) :]
                self._note(left or batch)  # what is stored answers once it is released
                self._left = left
        return None

    async def _embedded(self, waiting: Sequence[WaitingDocument]) -> AsyncGenerator[tuple[Batch, Coming]]:
        """Yield the batches in order, each with its entries to come: some are embedded ahead, no more."""
        width = getattr(self._knowledge.embedder, "width", 1)
        ahead: deque[tuple[Batch, Coming]] = deque()
        try:
            for batch in _batches(waiting):
                ahead.append((batch, asyncio.create_task(self._embed(batch))))
                if len(ahead) >= width:
                    yield ahead.popleft()
            while ahead:
                yield ahead.popleft()
        finally:
            for _, coming in ahead:
                coming.cancel()
            await asyncio.gather(*(coming for _, coming in ahead), return_exceptions=True)

    async def _embed(self, batch: Batch) -> list[ReadyDocument]:
        entries = await _embed(batch, self._knowledge.embedder, self._files, self._ready)
        return (
            entries if self._expander is None else await asyncio.to_thread(_expand, entries, self._expander)
        )

    async def _expands(self, waiting: Batch) -> Expander | None:
        """Return what expands the passages of what will then be stored; None where nothing does."""
        if self._knowledge.expander is None or not waiting:
            return None
        coming = sum(len(each.prepared.chunks) for each in waiting if not each.stored)
        return expander(self._knowledge, coming + await self._knowledge.chunks(self._kb))

    def released(self) -> None:
        """Note that all that was stored is in force."""
        self._note(self._left)

    def unreleased(self) -> None:
        """Note that what was stored is not in force yet."""
        self._note([*self.stored, *self._left])

    async def _keep(self, batch: Batch, entries: Sequence[ReadyDocument]) -> None:
        await self._knowledge.write(self._kb, entries)
        for waiting in batch:
            self.stored.append(waiting)
            if self._progress is not None:
                done = len(self.stored) + len(self.failed)
                self._progress(done, self._total, waiting.prepared.document.document_id)

    async def _one_by_one(self, batch: Sequence[WaitingDocument]) -> None:
        """Store each document apart, so that one bad vector costs one document."""
        for waiting in batch:
            try:
                await self._keep([waiting], await self._embed([waiting]))
            except EmbedError as error:
                if error.error_class != "embed_invalid":
                    raise
                self.failed[waiting.prepared.document.document_id] = str(error)

    def _note(self, left: Sequence[WaitingDocument]) -> None:
        titles = tuple(
            waiting.prepared.document.title or waiting.prepared.document.document_id
            for waiting in left[:NAMED]
        )
        lag = Lag(len(left), dict(self.failed), titles, self._since if left else None)
        self._knowledge.lags.note(self._kb, lag)


def _expand(entries: Sequence[ReadyDocument], use: Expander) -> list[ReadyDocument]:
    """Give every chunk the word pieces it is about, unless they were shipped with its vectors."""
    return [
        replace(
            entry,
            vectors=tuple(
                vectors
                if vectors.expansion is not None
                else replace(vectors, expansion=use.expand([piece.embedded[0]])[0])
                for piece, vectors in zip(entry.chunks, entry.vectors, strict=True)
            ),
        )
        for entry in entries
    ]


def _batches(waiting: Sequence[WaitingDocument]) -> Iterator[list[WaitingDocument]]:
    batch: list[WaitingDocument] = []
    size = 0
    for entry in waiting:
        batch.append(entry)
        size += len(entry.prepared.chunks)
        if size >= BATCH_CHUNKS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _embed(
    batch: Sequence[WaitingDocument], embedder: Embedder, files: VectorFile, ready: Ready
) -> list[ReadyDocument]:
    """Give every chunk its vectors, from memory or disk where they are known."""
    embedded: Ready = {}
    missing: dict[bytes, Chunk] = {}
    keys = {
        chunk.chunk_id: vector_files.key(*chunk.embedded) for each in batch for chunk in each.prepared.chunks
    }
    for piece in (chunk for each in batch for chunk in each.prepared.chunks):
        key = keys[piece.chunk_id]
        vectors = ready.get(key) or files.get(key)
        if vectors is None:
            missing[key] = piece
        else:
            embedded[key] = vectors
    if missing:
        texts = [case.embedded for case in missing.values()]
        answers = await embedder.embed_passages([text for text, _ in texts], [spans for _, spans in texts])
        fresh = list(zip(missing, answers, strict=True))
        try:
            await asyncio.to_thread(files.put, fresh)
        except OSError as error:  # they only save work
            log.warning("the vectors of %d passages are not kept: %s", len(fresh), error.strerror or error)
        embedded.update(fresh)
    return [
        ReadyDocument(
            each.prepared.document.key,
            each.prepared.content,
            each.prepared.chunks,
            tuple(embedded[keys[chunk.chunk_id]] for chunk in each.prepared.chunks),
            each.prepared.document.source,
        )
        for each in batch
    ]
