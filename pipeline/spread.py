"""Files are read and passages embedded by workers elsewhere; questions are embedded here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.errors import KnowledgeError
from pipeline.knowledge.embedding import Embedder, EmbedError, PassageVectors, Spans
from pipeline.knowledge.found import Vector
from pipeline.knowledge.reading.child import ReaderProcess
from pipeline.knowledge.reading.files import Found
from pipeline.knowledge.reading.folders import Readers
from pipeline.knowledge.writer import BATCH_CHUNKS
from pipeline.workers import Workers, WorkersError

PIECE = 32  # passages a worker has at a time, about half a second of a core


class Spread:
    """Gives passages away, some batches at a time. `name` and `base_url` say what the workers embed with."""

    def __init__(self, embedder: Embedder, workers: Workers, name: str, base_url: str | None) -> None:
        self.fingerprint = embedder.fingerprint
        self.width = 1 + -(-workers.width * PIECE // BATCH_CHUNKS)  # batches: one waits while each works
        self._embedder = embedder
        self._workers = workers
        self._order = (name, base_url)

    def readers(self) -> Readers:
        """Return who reads files; asked in a thread beside the running event loop."""
        loop = asyncio.get_running_loop()

        def outside(path: Path, name: str, kind: str) -> list[Found]:
            return asyncio.run_coroutine_threadsafe(self._read(path, name, kind), loop).result()

        return Readers(outside, self._workers.width)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    async def embed_query(self, text: str) -> Vector:
        return await self._embedder.embed_query(text)

    async def embed_passages(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[PassageVectors]:
        if keep_pace := getattr(self._embedder, "keep_pace", None):  # an endpoint has limits for all of them
            await keep_pace(texts)
        pieces = [slice(begin, begin + PIECE) for begin in range(0, len(texts), PIECE)]
        try:
            async with asyncio.TaskGroup() as group:
                parts = [group.create_task(self._piece(texts[piece], spans[piece])) for piece in pieces]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [vectors for part in parts for vectors in part.result()]

    async def _read(self, path: Path, name: str, kind: str) -> list[Found]:
        data = await asyncio.to_thread(path.read_bytes)
        try:
            return await self._workers.run(read, data, name, kind)
        except WorkersError as error:
            raise KnowledgeError(f"{name!r} cannot be given away to be read: {error}", "shed") from error

    async def _piece(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[PassageVectors]:
        try:
            theirs, vectors = await self._workers.run(embed, *self._order, list(texts), list(spans))
        except WorkersError as error:
            raise EmbedError(str(error)) from error
        if theirs != self.fingerprint:
            raise EmbedError(
                f"a worker embeds with {theirs}, this machine with {self.fingerprint}; install the same"
                " version and configure the same embedder everywhere"
            )
        return vectors


def read(data: bytes, name: str, kind: str) -> list[Found]:
    """Read a file in a worker, within the limits of a process of its own; raises Unreadable."""
    with TemporaryDirectory(prefix="answerdeck-read-") as folder:
        path = Path(folder) / f"file{kind}"
        path.write_bytes(data)
        return _reader().read(path, name, kind)


def embed(
    name: str, base_url: str | None, texts: Sequence[str], spans: Sequence[Spans]
) -> tuple[str, list[PassageVectors]]:
    """Embed texts in a worker; return the embedder's fingerprint and the vectors."""
    embedder = _embedder(name, base_url)
    return embedder.fingerprint, asyncio.run(embedder.embed_passages(texts, spans))


@cache  # of the worker: its next file meets a process that has its libraries loaded
def _reader() -> ReaderProcess:
    return ReaderProcess()


@cache  # of the worker: its next batch finds the model loaded
def _embedder(name: str, base_url: str | None) -> Embedder:
    from pipeline.providers import embedder_of

    return embedder_of(name, base_url)
