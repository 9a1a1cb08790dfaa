"""Knowledge bases in LanceDB: one table each, its releases, and the shelves retrieval reads."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import KnowledgeError
from pipeline.knowledge.chunking import Chunk
from pipeline.knowledge.embedding import Embedder, PassageVectors
from pipeline.knowledge.shelf import COLUMNS, PAGE, Keys, MemoryShelf, Shelf, TextSearch, checksum

if TYPE_CHECKING:
    from lancedb import AsyncConnection
    from lancedb.table import AsyncTable

log = logging.getLogger(__name__)
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
KEY = re.compile(r"[0-9a-f]{32}")
CHECK_SECONDS = 1.0  # how long a new version may go unnoticed
KEEP = timedelta(days=3650)  # optimize() fails once a tagged version is older than its clean-up age
EMBEDDER = b"answerdeck.embedder"
TEXT_QUERY_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a knowledge base that can be returned to."""

    version: str
    created_at: datetime
    documents: int
    chunks: int
    current: bool


@dataclass(frozen=True, slots=True)
class Status:
    """How a knowledge base stands; `problem` is a sentence when it cannot be used fully."""

    kb: str
    version: str | None
    documents: int
    chunks: int
    embedder: str | None
    bytes: int
    pending: int = 0
    failed: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A document ready to be stored: its key, its content hash, its chunks and their vectors."""

    key: str
    content: str
    chunks: tuple[Chunk, ...]
    vectors: tuple[PassageVectors, ...]


@dataclass(slots=True)
class Held:
    """An open shelf and when its version was last compared with the table's."""

    shelf: Shelf
    checked: float
    refreshing: bool = False


class Knowledge:
    """All knowledge bases under one folder; readers see new versions within a second."""

    def __init__(self, folder: Path, embedder: Embedder, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self.embedder = embedder
        self._clock = clock
        self._connection: AsyncConnection | None = None
        self._tables: dict[str, AsyncTable] = {}
        self._held: dict[str, Held] = {}

    async def names(self) -> list[str]:
        """Return the names of the knowledge bases."""
        with _plainly("any"):
            return sorted((await (await self._connect()).list_tables()).tables)

    async def open(self, kb: str) -> Shelf:
        """Return the newest version as retrieval reads it.

        Raises KnowledgeError store_missing or store_damaged; a version already in memory goes on
        serving while a newer one cannot be read.
        """
        held = self._held.get(kb)
        if held and (held.refreshing or self._clock() - held.checked < CHECK_SECONDS):
            return held.shelf
        if held is None:
            return await self._load(kb)
        held.refreshing = True
        try:
            return await self._load(kb)
        except KnowledgeError as error:
            if error.error_class == "store_missing":
                del self._held[kb]
                raise
            log.warning("knowledge base %r: serving %s from memory, %s", kb, held.shelf.version, error)
            held.checked = self._clock()
            return held.shelf
        finally:
            held.refreshing = False

    async def status(self, kb: str) -> Status:
        """Return how the knowledge base stands; never raises for a missing or damaged one."""
        size = _bytes(self.folder / f"{kb}.lance")
        try:
            table = await self._table(kb)
            with _plainly(kb):
                contents = await self._contents(table)
                chunks, version = await table.count_rows(), _label(await table.version())
            return Status(kb, version, len(contents), chunks, await self._fingerprint(table), size)
        except KnowledgeError as error:
            return Status(kb, None, 0, 0, None, size, problem=str(error))

    async def history(self, kb: str) -> list[Release]:
        """Return the released versions, newest first."""
        table = await self._table(kb)
        with _plainly(kb):
            current = await table.version()
            times = {one["version"]: one["timestamp"] for one in await table.list_versions()}
            tagged = sorted({int(tag["version"]) for tag in (await table.tags.list()).values()})
            releases: list[Release] = []
            for version in reversed(tagged):
                old = await (await self._connect()).open_table(kb)
                await old.checkout(version)
                contents, chunks = await self._contents(old), await old.count_rows()
                releases.append(
                    Release(_label(version), times[version], len(contents), chunks, version == current)
                )
        return releases

    async def rollback(self, kb: str, version: str) -> str:
        """Make a released version the current one again; returns the new version's label."""
        releases = await self.history(kb)
        if version not in {release.version for release in releases}:
            known = ", ".join(release.version for release in releases) or "none"
            raise KnowledgeError(
                f"knowledge base {kb!r} has no release {version!r}; there are: {known}", "config"
            )
        table = await self._table(kb)
        with _plainly(kb):
            await table.checkout(int(version.removeprefix("v")))
            await table.restore()
        return await self.release(kb)

    async def remove(self, kb: str) -> None:
        """Delete a knowledge base with all its releases."""
        await self._table(kb)
        with _plainly(kb):
            await (await self._connect()).drop_table(kb)
        self._forget(kb)

    async def contents(self, kb: str) -> dict[str, str]:
        """Return the stored documents: key to content hash; empty when there is no table yet."""
        try:
            table = await self._table(kb)
        except KnowledgeError as error:
            if error.error_class == "store_missing":
                return {}
            raise
        with _plainly(kb):
            return await self._contents(table)

    async def write(self, kb: str, entries: Sequence[Entry]) -> None:
        """Store documents in one commit; each replaces all chunks it had before."""
        table = await self._create(kb)
        if await self._fingerprint(table) != self.embedder.fingerprint:
            raise KnowledgeError(
                f"knowledge base {kb!r} was embedded by {await self._fingerprint(table)!r}, not by"
                f" {self.embedder.fingerprint!r}; ingest into another name, or remove it first",
                "config",
            )
        keys = _quoted([entry.key for entry in entries])
        with _plainly(kb):
            rows = await asyncio.to_thread(_arrow, entries, self.embedder.dimensions, await table.schema())
            merge = table.merge_insert("chunk_id").when_matched_update_all().when_not_matched_insert_all()
            await merge.when_not_matched_by_source_delete(f"document_key IN ({keys})").execute(rows)

    async def drop(self, kb: str, keys: Sequence[str]) -> None:
        """Delete documents by key."""
        table = await self._table(kb)
        with _plainly(kb):
            await table.delete(f"document_key IN ({_quoted(keys)})")

    async def release(self, kb: str) -> str:
        """Index what is new and tag the version; returns its label."""
        table = await self._table(kb)
        with _plainly(kb):
            await self._index(table)
            await table.optimize(cleanup_older_than=KEEP)
            version = await table.version()
            tags = table.tags
            if _label(version) not in await tags.list():
                await tags.create(_label(version), version)
        self._forget(kb)
        return _label(version)

    async def _load(self, kb: str) -> Shelf:
        table = await self._table(kb)
        with _plainly(kb):
            await table.checkout_latest()
            version = _label(await table.version())
            held = self._held.get(kb)
            if held and held.shelf.version == version:
                held.checked = self._clock()
                return held.shelf
            fixed = await (await self._connect()).open_table(kb)
            await fixed.checkout(int(version.removeprefix("v")))
            query = fixed.query().select([*COLUMNS, "document_key", "position", "vector"]).with_row_id()
            contents = await asyncio.to_thread(_taken, await query.to_arrow(), kb)
        shelf = MemoryShelf(version, await self._fingerprint(table), *contents, _text_search(fixed, kb))
        self._held[kb] = Held(shelf, self._clock())
        return shelf

    def _forget(self, kb: str) -> None:
        self._held.pop(kb, None)
        self._tables.pop(kb, None)

    async def _connect(self) -> AsyncConnection:
        if self._connection is None:
            import lancedb

            self.folder.mkdir(parents=True, exist_ok=True)
            self._connection = await lancedb.connect_async(
                str(self.folder), read_consistency_interval=timedelta(seconds=CHECK_SECONDS)
            )
        return self._connection

    async def _table(self, kb: str) -> AsyncTable:
        _check(kb)
        if kb not in self._tables or not (self.folder / f"{kb}.lance").is_dir():
            self._tables.pop(kb, None)
            with _plainly(kb):
                self._tables[kb] = await (await self._connect()).open_table(kb)
        return self._tables[kb]

    async def _create(self, kb: str) -> AsyncTable:
        _check(kb)
        if not (self.folder / f"{kb}.lance").is_dir():
            with _plainly(kb):
                schema = _schema(self.embedder)
                await (await self._connect()).create_table(kb, schema=schema, exist_ok=True)
        return await self._table(kb)

    async def _index(self, table: AsyncTable) -> None:
        from lancedb.index import FTS, BTree

        indexed = {column for index in await table.list_indices() for column in index.columns}
        for column, config in (("searched", FTS()), ("chunk_id", BTree()), ("document_key", BTree())):
            if column not in indexed:
                await table.create_index(column, config=config)

    async def _fingerprint(self, table: AsyncTable) -> str:
        return ((await table.schema()).metadata or {}).get(EMBEDDER, b"unknown").decode()

    async def _contents(self, table: AsyncTable) -> dict[str, str]:
        rows = await table.query().select(["document_key", "content"]).to_arrow()
        return dict(zip(rows["document_key"].to_pylist(), rows["content"].to_pylist(), strict=True))


@contextmanager
def _plainly(kb: str) -> Iterator[None]:
    """Turn the store's errors into KnowledgeError with a sentence fit for people."""
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        if isinstance(error, ValueError) and "was not found" in str(error):
            raise KnowledgeError(
                f"there is no knowledge base {kb!r}; make one with: answerdeck ingest PATH --kb {kb}",
                "store_missing",
            ) from error
        log.warning("knowledge base %r: %s: %.500s", kb, type(error).__name__, error)
        raise KnowledgeError(
            f"knowledge base {kb!r} cannot be read, its files are damaged; remove it and ingest again",
            "store_damaged",
        ) from error


def _text_search(table: AsyncTable, kb: str) -> TextSearch:
    async def search(query: str, limit: int) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
        with _plainly(kb):
            found = (
                await table.query()
                .nearest_to_text(query[:TEXT_QUERY_CHARACTERS], columns="searched")
                .select(["_score"])
                .with_row_id()
                .limit(limit)
                .to_arrow()
            )
        return found["_rowid"].to_numpy(), found["_score"].to_numpy()

    return search


def _taken(rows: Any, kb: str) -> tuple[dict[str, list[Any]], Keys, NDArray[np.uint64], NDArray[np.float32]]:
    """Take columns, pages, row ids and vectors out of Arrow, without rows whose checksum fails."""
    columns = {name: rows[name].to_pylist() for name in COLUMNS}
    shown = zip(*(columns[name] for name in ("chunk_id", "title", "url", "text")), strict=True)
    sound = [checksum(*texts) == stored for texts, stored in zip(shown, columns["checksum"], strict=True)]
    if not all(sound):
        log.error("knowledge base %r: %d chunks fail their checksum and are left out", kb, sound.count(False))
        rows = rows.take(np.flatnonzero(sound))
        columns = {name: list(compress(values, sound)) for name, values in columns.items()}
    width = rows.schema.field("vector").type.list_size
    vectors = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    matrix = np.ascontiguousarray(vectors, np.float32).reshape(-1, width)
    _, documents = np.unique(np.array(rows["document_key"].to_pylist(), np.str_), return_inverse=True)
    pages = documents.astype(np.int64) * 2**32 + rows["position"].to_numpy() // PAGE
    return columns, pages, rows["_rowid"].to_numpy(), matrix


def _schema(embedder: Embedder) -> Any:
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
            pa.field("vector", pa.list_(pa.float32(), embedder.dimensions)),
            pa.field("spans", blob),
            pa.field("sentences", blob),
            pa.field("checksum", text),
        ],
        metadata={EMBEDDER: embedder.fingerprint.encode()},
    )


def _arrow(entries: Sequence[Entry], dimensions: int, schema: Any) -> Any:
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
        }
        for entry in entries
        for chunk, vectors in zip(entry.chunks, entry.vectors, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def _check(kb: str) -> None:
    if not NAME.fullmatch(kb):
        raise KnowledgeError(
            f"{kb!r} cannot name a knowledge base; use 1 to 64 letters, digits, - and _", "config"
        )


def _quoted(keys: Sequence[str]) -> str:
    """Return document keys as a SQL list; they are hashes of ours, never a user's text."""
    if not all(KEY.fullmatch(key) for key in keys):
        raise ValueError("document keys are 32 hexadecimal digits")
    return ", ".join(f"'{key}'" for key in keys)


def _label(version: int) -> str:
    return f"v{version}"


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
