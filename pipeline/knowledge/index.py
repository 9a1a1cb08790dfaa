"""Knowledge bases in LanceDB: one table each, its releases, and the shelves retrieval reads."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from pathlib import Path

from pipeline.errors import KnowledgeError
from pipeline.knowledge import large, tables
from pipeline.knowledge.embedding import Embedder
from pipeline.knowledge.rows import Entry, packed, schema, unpacked
from pipeline.knowledge.shelf import COLUMNS, MemoryShelf, Shelf
from pipeline.knowledge.standing import Lag, Release, Status, size
from pipeline.knowledge.tables import (
    Tables,
    checked,
    label,
    lock,
    number,
    plainly,
    quoted,
    searchable,
)

log = logging.getLogger(__name__)
MEMORY_CHUNKS = 20_000  # larger knowledge bases are searched on disk, through a vector index
CHECK_SECONDS = 1.0  # how long a new version may go unnoticed


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
        self._tables = Tables(folder)
        self._held: dict[str, Held] = {}

    async def names(self) -> list[str]:
        """Return the names of the knowledge bases."""
        with plainly("any"):
            return sorted((await (await self._tables.connect()).list_tables()).tables)

    def exists(self, kb: str) -> bool:
        """Say whether there is such a knowledge base, sound or not; raises KnowledgeError for a bad name."""
        return (self.folder / f"{checked(kb)}.lance").is_dir()

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
            table = await self._tables.open(kb)
            with plainly(kb):
                contents = await tables.contents(table)
                chunks, version = await table.count_rows(), label(await table.version())
                fingerprint = await tables.fingerprint(table)
            problem = None if fingerprint == self.embedder.fingerprint else self._mixed(kb, fingerprint)
            if problem is None and chunks and not await searchable(table, kb):
                problem = (
                    f"the full-text index of {kb!r} is missing or damaged, and above {self._memory_chunks}"
                    " chunks questions need it; run the ingestion again to rebuild it"
                )
            documents = len(contents)
            return Status(kb, version, documents, chunks, fingerprint, used, lag.pending, lag.failed, problem)
        except KnowledgeError as error:
            return Status(kb, None, 0, 0, None, used, lag.pending, lag.failed, str(error))

    async def history(self, kb: str) -> list[Release]:
        """Return the released versions, newest first."""
        table = await self._tables.open(kb)
        with plainly(kb):
            current = await table.version()
            times = {one["version"]: one["timestamp"] for one in await table.list_versions()}
            tagged = sorted({int(tag["version"]) for tag in (await table.tags.list()).values()})
            releases: list[Release] = []
            for version in reversed(tagged):
                old = await self._tables.at(kb, version)
                documents, chunks = len(await tables.contents(old)), await old.count_rows()
                now = version == current
                created_at = times[version].astimezone(UTC)  # LanceDB gives local time without a zone
                releases.append(Release(label(version), created_at, documents, chunks, now))
        return releases

    async def rollback(self, kb: str, version: str) -> str:
        """Make a released version the current one again; returns the new version's label."""
        releases = await self.history(kb)
        if version not in {release.version for release in releases}:
            known = ", ".join(release.version for release in releases) or "none"
            raise KnowledgeError(
                f"knowledge base {kb!r} has no release {version!r}; there are: {known}", "config"
            )
        async with lock(self.folder, kb):
            table = await self._tables.open(kb)
            with plainly(kb):
                await table.checkout(number(version))
                await table.restore()
            return await self.release(kb)

    async def remove(self, kb: str) -> None:
        """Delete a knowledge base with all its releases."""
        folder = self.folder / f"{checked(kb)}.lance"
        if not folder.is_dir():
            await self._tables.open(kb)  # raises store_missing
        async with lock(self.folder, kb):
            try:
                with plainly(kb):
                    await (await self._tables.connect()).drop_table(kb)
            except KnowledgeError:
                await asyncio.to_thread(shutil.rmtree, folder)
            self._forget(kb)
        for leftover in (self._probes(kb), self._lag(kb)):
            leftover.unlink(missing_ok=True)

    def writing(self, kb: str) -> AbstractAsyncContextManager[None]:
        """Be the only writer of the knowledge base; waits for another one to end."""
        return lock(self.folder, kb)

    async def contents(self, kb: str) -> dict[str, str]:
        """Return the stored documents: key to content hash; empty when there is no table yet."""
        try:
            table = await self._tables.open(kb)
        except KnowledgeError as error:
            if error.error_class == "store_missing":
                return {}
            raise
        with plainly(kb):
            return await tables.contents(table)

    async def write(self, kb: str, entries: Sequence[Entry]) -> None:
        """Store documents in one commit; each replaces all chunks it had before."""
        columns = schema(self.embedder.fingerprint, len(entries[0].vectors[0].vector))
        table = await self._tables.create(kb, columns)
        with plainly(kb):
            fingerprint = await tables.fingerprint(table)
        if fingerprint != self.embedder.fingerprint:
            raise KnowledgeError(self._mixed(kb, fingerprint), "config")
        keys = quoted([entry.key for entry in entries])
        with plainly(kb):
            rows = await asyncio.to_thread(packed, entries, await table.schema())
            merge = table.merge_insert("chunk_id").when_matched_update_all().when_not_matched_insert_all()
            await merge.when_not_matched_by_source_delete(f"document_key IN ({keys})").execute(rows)

    async def drop(self, kb: str, keys: Sequence[str]) -> None:
        """Delete documents by key."""
        table = await self._tables.open(kb)
        with plainly(kb):
            await table.delete(f"document_key IN ({quoted(keys)})")

    async def mend(self, kb: str) -> bool:
        """Rebuild the full-text index when it is missing or damaged; says whether it was."""
        table = await self._tables.open(kb)
        if await searchable(table, kb):
            return False
        with plainly(kb):
            for index in await table.list_indices():
                if "searched" in index.columns:
                    await table.drop_index(index.name)
        await self.release(kb)
        return True

    async def release(self, kb: str) -> str:
        """Index what is new and tag the version; returns its label."""
        table = await self._tables.open(kb)
        with plainly(kb):
            many = await table.count_rows() > self._memory_chunks
            await tables.index(table, vectors=many)
            if many:
                large.save(self._probes(kb), await large.measure(table))
            version = await table.version()
            tags = table.tags
            if label(version) not in await tags.list():
                await tags.create(label(version), version)
        self._forget(kb)
        return label(version)

    def note(self, kb: str, lag: Lag) -> None:
        """Keep how far an ingestion is, for `status`."""
        lag.save(self._lag(kb))

    def _lag(self, kb: str) -> Path:
        return self.folder / f"{checked(kb)}.lag.json"

    def _mixed(self, kb: str, fingerprint: str) -> str:
        return (
            f"knowledge base {kb!r} was embedded by {fingerprint!r}, the configured embedder is"
            f" {self.embedder.fingerprint!r} and the two cannot be mixed; ingest into another name or"
            f" remove it first: answerdeck kb remove {kb}"
        )

    async def _load(self, kb: str) -> Shelf:
        table = await self._tables.open(kb)
        with plainly(kb):
            await table.checkout_latest()
            version = label(await table.version())
            held = self._held.get(kb)
            if held and held.shelf.version == version:
                held.checked = self._clock()
                return held.shelf
            shelf = await self._shelf(kb, version)
        self._held[kb] = Held(shelf, self._clock())
        return shelf

    async def _shelf(self, kb: str, version: str) -> Shelf:
        """Read one version; it stays as it is whatever is written meanwhile."""
        fixed = await self._tables.at(kb, number(version))
        fingerprint, chunks = await tables.fingerprint(fixed), await fixed.count_rows()
        if chunks > self._memory_chunks:
            probes, sample = large.load(self._probes(kb)), await large.drawn(fixed)
            return large.TableShelf(version, fingerprint, chunks, fixed, sample, probes, partial(plainly, kb))
        columns = [*COLUMNS, "searched", "document_key", "position", "vector"]
        rows = await fixed.query().select(columns).to_arrow()
        return MemoryShelf(version, fingerprint, *await asyncio.to_thread(unpacked, rows, kb))

    def _probes(self, kb: str) -> Path:
        return self.folder / f"{kb}.probes.json"

    def _forget(self, kb: str) -> None:
        self._held.pop(kb, None)
        self._tables.forget(kb)
