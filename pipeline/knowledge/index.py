"""Knowledge bases in LanceDB: one table each, its releases, and the shelves retrieval reads."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import KnowledgeError
from pipeline.knowledge import large
from pipeline.knowledge.embedding import Embedder
from pipeline.knowledge.rows import EMBEDDER, Entry, packed, schema, unpacked
from pipeline.knowledge.shelf import COLUMNS, MemoryShelf, Shelf, TextSearch
from pipeline.knowledge.standing import Lag, Release, Status, size

if TYPE_CHECKING:
    from lancedb import AsyncConnection
    from lancedb.table import AsyncTable

log = logging.getLogger(__name__)
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
KEY = re.compile(r"[0-9a-f]{32}")
MEMORY_CHUNKS = 20_000  # larger knowledge bases are searched on disk, through a vector index
CHECK_SECONDS = 1.0  # how long a new version may go unnoticed
LOCK_SECONDS = 1800.0  # an ingestion of a large folder may take that long
LOCK_STEP_SECONDS = 0.1
KEEP = timedelta(days=3650)  # optimize() fails once a tagged version is older than its clean-up age
TEXT_QUERY_CHARACTERS = 1_000


@dataclass(slots=True)
class Held:
    """An open shelf and when its version was last compared with the table's."""

    shelf: Shelf
    checked: float
    refreshing: bool = False


class Knowledge:
    """All knowledge bases under one folder; readers see new versions within a second."""

    def __init__(
        self,
        folder: Path,
        embedder: Embedder,
        clock: Callable[[], float] = time.monotonic,
        memory_chunks: int = MEMORY_CHUNKS,
    ) -> None:
        self.folder = folder
        self.embedder = embedder
        self._clock = clock
        self._memory_chunks = memory_chunks
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
        lag, used = Lag.load(self._lag(kb)), size(self.folder / f"{kb}.lance")
        try:
            table = await self._table(kb)
            with _plainly(kb):
                contents = await self._contents(table)
                chunks, version = await table.count_rows(), _label(await table.version())
                fingerprint = await self._fingerprint(table)
            problem = None if fingerprint == self.embedder.fingerprint else self._mixed(kb, fingerprint)
            if problem is None and chunks and not await _searchable(table, kb):
                problem = (
                    f"the full-text index of {kb!r} is missing or damaged, questions are answered by vector"
                    " search alone; run the ingestion again to rebuild it"
                )
            documents = len(contents)
            return Status(kb, version, documents, chunks, fingerprint, used, lag.pending, lag.failed, problem)
        except KnowledgeError as error:
            return Status(kb, None, 0, 0, None, used, lag.pending, lag.failed, str(error))

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
        async with self.writing(kb):
            table = await self._table(kb)
            with _plainly(kb):
                await table.checkout(int(version.removeprefix("v")))
                await table.restore()
            return await self.release(kb)

    async def remove(self, kb: str) -> None:
        """Delete a knowledge base with all its releases."""
        folder = self.folder / f"{_checked(kb)}.lance"
        if not folder.is_dir():
            await self._table(kb)  # raises store_missing
        async with self.writing(kb):
            try:
                with _plainly(kb):
                    await (await self._connect()).drop_table(kb)
            except KnowledgeError:
                await asyncio.to_thread(shutil.rmtree, folder)
            self._forget(kb)
        for leftover in (self._probes(kb), self._lag(kb)):
            leftover.unlink(missing_ok=True)

    @asynccontextmanager
    async def writing(self, kb: str) -> AsyncIterator[None]:
        """Be the only writer of the knowledge base, in this process and among others.

        Waits for another writer to end; the system frees the lock of one that was killed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / f"{_checked(kb)}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            for attempt in range(int(LOCK_SECONDS / LOCK_STEP_SECONDS)):
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if attempt == 0:
                        log.warning("knowledge base %r is being written, waiting for that to end", kb)
                    await asyncio.sleep(LOCK_STEP_SECONDS)
            else:
                raise KnowledgeError(f"knowledge base {kb!r} is being written by another process", "shed")
            yield
        finally:
            os.close(handle)

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
        table = await self._create(kb, len(entries[0].vectors[0].vector))
        with _plainly(kb):
            fingerprint = await self._fingerprint(table)
        if fingerprint != self.embedder.fingerprint:
            raise KnowledgeError(self._mixed(kb, fingerprint), "config")
        keys = _quoted([entry.key for entry in entries])
        with _plainly(kb):
            rows = await asyncio.to_thread(packed, entries, await table.schema())
            merge = table.merge_insert("chunk_id").when_matched_update_all().when_not_matched_insert_all()
            await merge.when_not_matched_by_source_delete(f"document_key IN ({keys})").execute(rows)

    async def drop(self, kb: str, keys: Sequence[str]) -> None:
        """Delete documents by key."""
        table = await self._table(kb)
        with _plainly(kb):
            await table.delete(f"document_key IN ({_quoted(keys)})")

    async def mend(self, kb: str) -> bool:
        """Rebuild the full-text index when it is missing or damaged; says whether it was."""
        table = await self._table(kb)
        if await _searchable(table, kb):
            return False
        with _plainly(kb):
            for index in await table.list_indices():
                if "searched" in index.columns:
                    await table.drop_index(index.name)
        await self.release(kb)
        return True

    async def release(self, kb: str) -> str:
        """Index what is new and tag the version; returns its label."""
        table = await self._table(kb)
        with _plainly(kb):
            await self._index(kb, table)
            version = await table.version()
            tags = table.tags
            if _label(version) not in await tags.list():
                await tags.create(_label(version), version)
        self._forget(kb)
        return _label(version)

    def note(self, kb: str, lag: Lag) -> None:
        """Keep how far an ingestion is, for `status`."""
        lag.save(self._lag(kb))

    def _lag(self, kb: str) -> Path:
        return self.folder / f"{_checked(kb)}.lag.json"

    def _mixed(self, kb: str, fingerprint: str) -> str:
        return (
            f"knowledge base {kb!r} was embedded by {fingerprint!r}, the configured embedder is"
            f" {self.embedder.fingerprint!r} and the two cannot be mixed; ingest into another name or"
            f" remove it first: answerdeck kb remove {kb}"
        )

    async def _load(self, kb: str) -> Shelf:
        table = await self._table(kb)
        with _plainly(kb):
            await table.checkout_latest()
            version = _label(await table.version())
            held = self._held.get(kb)
            if held and held.shelf.version == version:
                held.checked = self._clock()
                return held.shelf
            shelf = await self._shelf(kb, version)
        self._held[kb] = Held(shelf, self._clock())
        return shelf

    async def _shelf(self, kb: str, version: str) -> Shelf:
        """Read one version; it stays as it is whatever is written meanwhile."""
        fixed = await (await self._connect()).open_table(kb)
        await fixed.checkout(int(version.removeprefix("v")))
        fingerprint, chunks = await self._fingerprint(fixed), await fixed.count_rows()
        if chunks > self._memory_chunks:
            probes, sample = large.load(self._probes(kb)), await large.drawn(fixed)
            return large.TableShelf(
                version, fingerprint, chunks, fixed, sample, probes, partial(_plainly, kb)
            )
        query = fixed.query().select([*COLUMNS, "document_key", "position", "vector"]).with_row_id()
        contents = await asyncio.to_thread(unpacked, await query.to_arrow(), kb)
        return MemoryShelf(version, fingerprint, *contents, _text_search(fixed, kb))

    def _probes(self, kb: str) -> Path:
        return self.folder / f"{kb}.probes.json"

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
        if not (self.folder / f"{_checked(kb)}.lance").is_dir() or kb not in self._tables:
            self._tables.pop(kb, None)
            with _plainly(kb):
                self._tables[kb] = await (await self._connect()).open_table(kb)
        return self._tables[kb]

    async def _create(self, kb: str, dimensions: int) -> AsyncTable:
        try:
            return await self._table(kb)
        except KnowledgeError as error:
            if error.error_class != "store_missing":
                raise
        with _plainly(kb):
            columns = schema(self.embedder.fingerprint, dimensions)
            await (await self._connect()).create_table(kb, schema=columns, exist_ok=True)
        return await self._table(kb)

    async def _index(self, kb: str, table: AsyncTable) -> None:
        """Make the indexes that are missing and bring new rows into all of them."""
        from lancedb.index import FTS, BTree, IvfRq

        indexed = {column for index in await table.list_indices() for column in index.columns}
        for column, config in (("searched", FTS()), ("chunk_id", BTree()), ("document_key", BTree())):
            if column not in indexed:
                await table.create_index(column, config=config)
        many = await table.count_rows() > self._memory_chunks
        if many and "vector" not in indexed:
            await table.create_index("vector", config=IvfRq(distance_type="cosine"))
        await table.optimize(cleanup_older_than=KEEP)
        if many:
            large.save(self._probes(kb), await large.measure(table))

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
        reason = str(error).partition(", /")[0]  # the rest is a path on the machine Lance was built on
        log.warning("knowledge base %r: %s: %.300s", kb, type(error).__name__, reason)
        raise KnowledgeError(
            f"knowledge base {kb!r} cannot be read, its files are damaged; remove it and ingest again",
            "store_damaged",
        ) from error


async def _searchable(table: AsyncTable, kb: str) -> bool:
    try:
        await _text_search(table, kb)("text", 1)
    except KnowledgeError:
        return False
    return True


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


def _checked(kb: str) -> str:
    if not NAME.fullmatch(kb):
        raise KnowledgeError(
            f"{kb!r} cannot name a knowledge base; use 1 to 64 letters, digits, - and _", "config"
        )
    return kb


def _quoted(keys: Sequence[str]) -> str:
    """Return document keys as a SQL list; they are hashes of ours, never a user's text."""
    if not all(KEY.fullmatch(key) for key in keys):
        raise ValueError("document keys are 32 hexadecimal digits")
    return ", ".join(f"'{key}'" for key in keys)


def _label(version: int) -> str:
    return f"v{version}"
