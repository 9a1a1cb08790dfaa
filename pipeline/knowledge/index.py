"""Knowledge bases in LanceDB: one table each, its releases, and the shelves retrieval reads."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import KnowledgeError
from pipeline.knowledge import large, tables, versions
from pipeline.knowledge.elsewhere import Elsewhere
from pipeline.knowledge.embedding import Embedder
from pipeline.knowledge.expansion import Expander, heard
from pipeline.knowledge.identity import Stored
from pipeline.knowledge.lags import Lags
from pipeline.knowledge.lock import lock
from pipeline.knowledge.rows import ReadyDocument, Screen, packed, schema, unpacked
from pipeline.knowledge.shelf import COLUMNS, EXPANSION, SCREENED, Held, MemoryShelf, Shelf
from pipeline.knowledge.standing import Lag, Release, Status, size
from pipeline.knowledge.tables import (
    Tables,
    checked,
    label,
    mixed,
    plainly,
    quoted,
    searchable,
)

if TYPE_CHECKING:
    from lancedb.table import AsyncTable

log = logging.getLogger(__name__)
MEMORY_CHUNKS = 10_000  # larger knowledge bases are searched on disk, through a vector index
RELEASES = 20  # kept readable; older ones are cleaned
MOST_HELD = 64  # knowledge bases in memory at a time; people's own documents are one each
CHECK_SECONDS = 1.0  # how long a new version may go unnoticed


class Knowledge:
    """All knowledge bases under one folder, or elsewhere; readers see new versions within a second.

    When they lie elsewhere the folder holds this machine's notes only.
    """

    def __init__(
        self,
        folder: Path,
        embedder: Embedder,
        clock: Callable[[], float] = time.monotonic,
        memory_chunks: int = MEMORY_CHUNKS,
        releases: int = RELEASES,
        screen: Screen | None = None,
        elsewhere: Elsewhere | None = None,
        expander: Expander | None = None,
    ) -> None:
        self.folder = folder
        self.expander = expander
        self._leases = None if elsewhere is None else elsewhere.leases
        self.embedder = embedder
        self._clock = clock
        self.memory_chunks = memory_chunks
        self._releases = releases
        self._screen = screen
        self._tables = Tables(folder, None if elsewhere is None else elsewhere.address)
        self.private: Knowledge | None = None  # people's own documents, where they may add some
        self._held: dict[str, Held] = {}
        self.lags = Lags(folder)

    async def names(self) -> list[str]:
        """Return the names of the knowledge bases."""
        with plainly(None):
            return sorted((await (await self._tables.connect()).list_tables()).tables)

    def exists(self, kb: str) -> bool:
        """Say whether there is such a knowledge base, sound or not; raises KnowledgeError for a bad name."""
        return self._tables.exists(kb)

    async def look(self, kb: str) -> None:
        """Learn in a thread what the shared address holds, so that `exists` waits for nothing after this."""
        if self._leases is not None:
            with suppress(KnowledgeError):
                await asyncio.to_thread(self.exists, kb)

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
                self._held.pop(kb, None)
                raise
            log.warning("knowledge base %r: serving %s from memory, %s", kb, held.shelf.version, error)
            held.checked = self._clock()
            return held.shelf
        finally:
            held.refreshing = False

    async def status(self, kb: str) -> Status:
        """Return how the knowledge base stands; never raises for a missing or damaged one."""
        lag = Lag.load(self.lags.path(kb))
        used = size(self.folder / f"{kb}.lance")  # 0 when elsewhere
        left = {"pending": lag.pending, "failed": lag.failed, "lag_seconds": lag.seconds()}
        try:
            newest = await self._tables.open(kb)
            with plainly(kb):
                table, tag = await self._released(kb, newest)
                contents, chunks = await tables.contents(table), await table.count_rows()
                fingerprint = await tables.fingerprint(table)
                fragments = await tables.fragments(table)
                used = used or await tables.size(table)
                many = chunks > self.memory_chunks
                lacks = 0 if many else await tables.lacking(table)
            problem = (
                None
                if fingerprint == self.embedder.fingerprint
                else mixed(kb, fingerprint, self.embedder.fingerprint)
            )
            if problem is None and chunks and not await searchable(table, kb):
                problem = (
                    f"the full-text index of {kb!r} is missing or damaged, and above {self.memory_chunks}"
                    " chunks questions need it; run the ingestion again to rebuild it"
                )
            probes = large.load(self._probes(kb)) if many else None
            more = {"fragments": fragments, "index": None if probes is None else probes.shown, **left}
            more["contents"] = versions.digest(contents)
            more["sparse"] = heard(self.expander, lacks, chunks, many)
            counts = (len(contents), chunks, fingerprint, used)
            return Status(kb, tag.label, *counts, problem=problem, **more)
        except KnowledgeError as error:
            return Status(kb, None, 0, 0, None, used, problem=str(error), **left)

    async def history(self, kb: str) -> list[Release]:
        """Return the released versions, newest first."""
        table = await self._tables.open(kb)
        with plainly(kb):
            tags, times = await versions.tagged(table), await versions.created(table)
            held = {
                tag.number: await versions.keep(
                    table, await self._tables.at(kb, tag.number), tag.number, self._contents(kb)
                )
                for tag in tags
            }
        return versions.releases(tags, times, held)

    async def rollback(self, kb: str, version: str) -> str:
        """Make a released version the current one again; returns its label, which is the one it had."""
        async with lock(self.folder, kb, self._leases):
            tag = await self._tag(kb, version)
            table = await self._tables.open(kb)
            with plainly(kb):
                await table.checkout(tag.number)
                await table.restore()
            return await self.release(kb)

    async def difference(self, kb: str, before: str, after: str) -> versions.VersionDifference:
        """Return which documents came, went and changed from one released version to the other."""
        old, new = [await self.documents(kb, version) for version in (before, after)]
        return versions.difference(old, new)

    async def documents(self, kb: str, version: str | None = None) -> dict[str, Stored]:
        """Return the documents by key, of a released version or of the newest state; {} without a table."""
        if version is None:
            table = await self._tables.there(kb)
        else:
            table = await self._tables.at(kb, (await self._tag(kb, version)).number)
        with plainly(kb):
            return {} if table is None else await tables.documents(table)

    async def forget(self, kb: str, document_ids: Sequence[str]) -> str:
        """Remove documents and release the rest; returns the label to take them back from."""
        async with lock(self.folder, kb, self._leases):
            table = await self._tables.open(kb)
            with plainly(kb):
                before = (await self._released(kb, table))[1].label
                ids = {document.document_id: key for key, document in (await tables.documents(table)).items()}
            if missing := [document_id for document_id in document_ids if document_id not in ids]:
                raise KnowledgeError(f"knowledge base {kb!r} holds no document {missing[0]!r}", "config")
            await self.drop(kb, [ids[document_id] for document_id in document_ids])
            await self.release(kb)
        return before

    async def restore(self, kb: str, document_ids: Sequence[str], version: str) -> str:
        """Take documents back as a released version has them, and nothing else; returns the new label."""
        async with lock(self.folder, kb, self._leases):
            tag = await self._tag(kb, version)
            table, old = await self._tables.open(kb), await self._tables.at(kb, tag.number)
            with plainly(kb):
                ids = {document.document_id: key for key, document in (await tables.documents(old)).items()}
                keys = quoted([ids[document_id] for document_id in document_ids if document_id in ids])
                if keys:
                    rows = await old.query().where(f"document_key IN ({keys})").to_arrow()
                    await table.delete(f"document_key IN ({keys})")
                    await table.add(rows)
            return await self.release(kb)

    async def _tag(self, kb: str, version: str) -> versions.Tag:
        table = await self._tables.open(kb)
        with plainly(kb):
            tags = {tag.label: tag for tag in await versions.tagged(table)}
        if version not in tags:
            names = ", ".join(tags) or "none"
            raise KnowledgeError(
                f"knowledge base {kb!r} has no release {version!r}; there are: {names}", "config"
            )
        return tags[version]

    async def remove(self, kb: str) -> None:
        """Delete a knowledge base with all its releases."""
        folder = self.folder / f"{checked(kb)}.lance"
        if not self.exists(kb):
            await self._tables.open(kb)  # raises store_missing
        async with lock(self.folder, kb, self._leases):
            try:
                with plainly(kb):
                    await (await self._tables.connect()).drop_table(kb)
            except KnowledgeError:
                if not folder.is_dir():
                    raise
                await asyncio.to_thread(shutil.rmtree, folder)
            self._forget(kb)
        for leftover in (self._probes(kb), self.lags.path(kb), self._contents(kb)):
            leftover.unlink(missing_ok=True)

    async def table(self, kb: str) -> AsyncTable:
        """Return the table at its newest version; raises KnowledgeError."""
        return await self._tables.open(kb)

    def writing(self, kb: str) -> AbstractAsyncContextManager[None]:
        """Be the only writer of the knowledge base; waits for another one to end."""
        return lock(self.folder, kb, self._leases)

    async def in_force(self, kb: str) -> AsyncTable:
        """Return the table as the last release has it."""
        table = await self._tables.open(kb)
        with plainly(kb):
            return (await self._released(kb, table))[0]

    async def completed(self, kb: str) -> AsyncTable:
        """Return the table with the columns that it lacks since it was made before there were any."""
        return await self._tables.completed(await self._tables.open(kb), kb)

    async def contents(self, kb: str) -> dict[str, str]:
        """Return the stored documents: key to content hash; empty when there is no table yet."""
        table = await self._tables.there(kb)
        with plainly(kb):
            return {} if table is None else await tables.contents(table)

    async def chunks(self, kb: str) -> int:
        """Return how many chunks are stored; 0 when there is no table yet."""
        table = await self._tables.there(kb)
        with plainly(kb):
            return 0 if table is None else await table.count_rows()

    async def passages(self, kb: str) -> list[tuple[str, str, str, list[tuple[int, int]]]]:
        """Return chunk id, document id, text and sentence spans of every chunk in force."""
        table = await self.in_force(kb)
        with plainly(kb):
            return await tables.passages(table)

    async def write(self, kb: str, entries: Sequence[ReadyDocument]) -> None:
        """Store documents in one commit; each replaces all chunks it had before."""
        columns = schema(self.embedder.fingerprint, len(entries[0].vectors[0].vector))
        table = await self._tables.create(kb, columns)
        with plainly(kb):
            fingerprint = await tables.fingerprint(table)
        if fingerprint != self.embedder.fingerprint:
            raise KnowledgeError(mixed(kb, fingerprint, self.embedder.fingerprint), "config")
        keys = quoted([entry.key for entry in entries])
        with plainly(kb):
            rows = await asyncio.to_thread(packed, entries, await table.schema(), self._screen)
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
        """Index what is new, tag the version and clean old ones; returns the label of the contents."""
        table = await self._tables.open(kb)
        with plainly(kb):
            many = await table.count_rows() > self.memory_chunks
            await tables.index(table, vectors=many, tended=self._tables.tended)
            if many:
                large.save(self._probes(kb), await large.measure(table))
            number = await table.version()
            tags, file = await versions.tagged(table), self._contents(kb)
            new = await versions.keep(table, None, number, file)
            same = [
                tag
                for tag in tags
                if (
                    await versions.keep(table, await self._tables.at(kb, tag.number), tag.number, file)
                ).contents
                == new.contents
            ]
            name = label(number) if not same else f"{same[-1].label}.{number}"
            if not tags or tags[-1].number != number:
                await table.tags.create(name, number)
            await versions.clean(table, self._releases, tended=self._tables.tended)
        self._forget(kb)
        return name.partition(".")[0] if not tags or tags[-1].number != number else tags[-1].label

    async def unreleased(self, kb: str) -> bool:
        """Say whether documents were stored, or taken away, that no release holds yet."""
        table = await self._tables.open(kb)
        with plainly(kb):
            tags = await versions.tagged(table)
            if not tags:
                return True
            if tags[-1].number == await table.version():
                return False
            at = await self._tables.at(kb, tags[-1].number)
            last = await versions.keep(table, at, tags[-1].number, self._contents(kb))
            return versions.digest(await tables.contents(table)) != last.contents

    async def _load(self, kb: str) -> Shelf:
        table = await self._tables.open(kb)
        with plainly(kb):
            await table.checkout_latest()
            fixed, tag = await self._released(kb, table, self._held.get(kb))
            held = self._held.get(kb)
            if held and held.number == tag.number:
                held.checked = self._clock()
                return held.shelf
            shelf = await self._shelf(kb, tag.label, fixed)
        self._held.pop(kb, None)
        self._held[kb] = Held(shelf, tag.number, self._clock())
        while len(self._held) > MOST_HELD:  # the one read into memory first
            del self._held[next(iter(self._held))]
        return shelf

    async def _released(
        self, kb: str, table: AsyncTable, held: Held | None = None
    ) -> tuple[AsyncTable, versions.Tag]:
        """Return the last release; before the first one that is the empty table."""
        tags = await versions.tagged(table)
        tag = tags[-1] if tags else versions.Tag(1, label(1), "")
        if held and held.number == tag.number:
            return table, tag
        return await self._tables.at(kb, tag.number), tag

    async def _shelf(self, kb: str, version: str, fixed: AsyncTable) -> Shelf:
        """Read one version; it stays as it is whatever is written meanwhile."""
        fingerprint, chunks = await tables.fingerprint(fixed), await fixed.count_rows()
        if chunks > self.memory_chunks:
            if not self._probes(kb).exists():  # another machine made the index
                large.save(self._probes(kb), await large.measure(fixed))
            probes, sample = large.load(self._probes(kb)), await large.drawn(fixed)
            return large.TableShelf(version, fingerprint, chunks, fixed, sample, probes, partial(plainly, kb))
        names = (await fixed.schema()).names
        later = [name for name in (SCREENED, EXPANSION) if name in names]
        columns = [*COLUMNS, *later, "searched", "document_key", "position", "vector"]
        rows = await fixed.query().select(columns).to_arrow()
        return MemoryShelf(version, fingerprint, *await asyncio.to_thread(unpacked, rows, kb))

    def _contents(self, kb: str) -> Path:
        return self.folder / f"{checked(kb)}.versions.json"

    def _probes(self, kb: str) -> Path:
        return self.folder / f"{kb}.probes.json"

    def _forget(self, kb: str) -> None:
        self._held.pop(kb, None)
        self._tables.forget(kb)
