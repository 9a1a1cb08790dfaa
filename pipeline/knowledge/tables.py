"""LanceDB itself: connection, tables, indexes, and its errors in plain words."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import KnowledgeError
from pipeline.knowledge import elsewhere
from pipeline.knowledge.deferring import CATALOGUES, defer
from pipeline.knowledge.identity import Stored
from pipeline.knowledge.listing import NameListing
from pipeline.knowledge.rows import EMBEDDER
from pipeline.knowledge.shelf import EXPANSION, SCREENED

if TYPE_CHECKING:
    from lancedb import AsyncConnection
    from lancedb.table import AsyncTable

log = logging.getLogger(__name__)
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
KEY = re.compile(r"[0-9a-f]{32}")
INDEX_SECONDS = 300.0  # how long a service may take to make indexes
STALE_SECONDS = 1.0  # how long a table handle may miss another process's writes
SOURCE = "source"
_NOTHING = "arrow_cast(NULL, 'Binary')"
LATER = {SOURCE: "''", SCREENED: _NOTHING, EXPANSION: _NOTHING}  # columns that old tables lack
KEEP = timedelta(days=3650)  # optimize() fails once a tagged version is older than its clean-up age
TEXT_QUERY_CHARACTERS = 1_000
_REFUSALS = (  # what the system says when it refuses: (in an error's text, the reason, what to do)
    (r"no space left|os error 28\b|disk (?:is )?full|quota exceeded|os error (?:27|122)\b|file too large",
     "the disk is full", "free some space"),
    (r"read-only file system|os error 30\b|readonly database", "its disk is read-only", "mount it anew"),
    (r"permission denied|os error 13\b", "its files may not be read or written", "give this user the right"),
    (r"too many open files|os error 24\b", "too many files are open", "raise the limit, ulimit -n"),
)  # fmt: skip


class Tables:
    """The open tables of one folder, or of an address machines share."""

    def __init__(self, folder: Path, address: str | None = None) -> None:
        self._folder = folder
        self._address = address
        self.tended = elsewhere.tends_itself(address)
        self._connection: AsyncConnection | None = None
        self._open: dict[str, AsyncTable] = {}
        self._listing = NameListing(lambda: _listed(address or ""))

    async def connect(self) -> AsyncConnection:
        """Return the connection; the first call imports LanceDB."""
        if self._connection is None:
            defer(CATALOGUES)
            import lancedb

            make(self._folder)
            self._connection = await lancedb.connect_async(
                self._address or str(self._folder),
                read_consistency_interval=timedelta(seconds=STALE_SECONDS),
                **(asdict(elsewhere.options(self._address)) if self._address else {}),
            )
        return self._connection

    def exists(self, kb: str) -> bool:
        """Say whether there is such a table; asks a shared address at most every second, and not for long."""
        if self._address is None:
            return (self._folder / f"{checked(kb)}.lance").is_dir()
        if kb in self._open:
            return True
        defer(CATALOGUES)
        import lancedb  # noqa: F401 what loading it takes is not the store's silence

        with plainly(kb):
            return self._listing.holds(checked(kb))

    async def open(self, kb: str) -> AsyncTable:
        """Return the table at its newest version; raises KnowledgeError store_missing."""
        gone = self._address is None and not self.exists(kb)
        if gone or checked(kb) not in self._open:
            self._open.pop(kb, None)
            if self._address is not None:  # names what is wrong sooner than opening a table would
                await asyncio.to_thread(self.exists, kb)
            with plainly(kb):
                self._open[kb] = await (await self.connect()).open_table(kb)
        return self._open[kb]

    async def there(self, kb: str) -> AsyncTable | None:
        """Return the table at its newest version; None when there is none."""
        try:
            return await self.open(kb)
        except KnowledgeError as error:
            if error.error_class != "store_missing":
                raise
            return None

    async def at(self, kb: str, version: int) -> AsyncTable:
        """Return a handle of its own that stays at one version whatever is written."""
        table = await (await self.connect()).open_table(kb)
        await table.checkout(version)
        return table

    async def create(self, kb: str, schema: Any) -> AsyncTable:
        """Return the table, made empty when there is none."""
        try:
            return await self.completed(await self.open(kb), kb)
        except KnowledgeError as error:
            if error.error_class != "store_missing":
                raise
        with plainly(kb):
            await (await self.connect()).create_table(kb, schema=schema, exist_ok=True)
        return await self.open(kb)

    async def completed(self, table: AsyncTable, kb: str) -> AsyncTable:
        """Add the columns that a table lacks because it was made before there were any."""
        with plainly(kb):
            names = (await table.schema()).names
            lacking = {name: value for name, value in LATER.items() if name not in names}
            if lacking:
                await table.add_columns(lacking)
        return table

    def forget(self, kb: str) -> None:
        """Open the table anew next time."""
        self._open.pop(kb, None)
        self._listing.forget()


def _listed(address: str) -> list[str]:
    defer(CATALOGUES)
    import lancedb

    return lancedb.connect(address, **asdict(elsewhere.options(address))).list_tables().tables


async def index(table: AsyncTable, *, vectors: bool, tended: bool) -> None:
    """Make the indexes that are missing and bring new rows into all of them.

    A service that tends its tables makes indexes while we wait, and brings new rows into them later;
    searches see those rows all the same.
    """
    from lancedb.index import FTS, BTree, IvfRq

    indexed = {column for item in await table.list_indices() for column in item.columns}
    configs = {"searched": FTS(), "chunk_id": BTree(), "document_key": BTree()}
    if vectors:
        configs["vector"] = IvfRq(distance_type="cosine")
    new = configs.keys() - indexed
    for column in sorted(new):
        await table.create_index(column, config=configs[column])
    if tended:
        await _indexed(table, new)
        return
    await table.optimize(cleanup_older_than=KEEP)
    if await fragments(table) > 1:  # pieces merge only once the indexes cover all of them
        await table.optimize(cleanup_older_than=KEEP)


async def _indexed(table: AsyncTable, columns: Set[str]) -> None:
    """Wait until new indexes are there: a release would be without those that come after it."""
    names = [item.name for item in await table.list_indices() if columns & set(item.columns)]
    try:
        await table.wait_for_index(names, timedelta(seconds=INDEX_SECONDS))
    except (RuntimeError, TimeoutError) as error:
        if elsewhere.trouble(error) is not None:
            raise
        log.warning("the indexes of %r are not ready after %g s: %.200s", table.name, INDEX_SECONDS, error)


async def fingerprint(table: AsyncTable) -> str:
    """Return the fingerprint of the embedder that made the table's vectors."""
    return ((await table.schema()).metadata or {}).get(EMBEDDER, b"unknown").decode()


async def fragments(table: AsyncTable) -> int:
    """Return in how many pieces the rows lie."""
    stats: Any = await table.stats()  # a dict, whatever its annotation says
    return stats["fragment_stats"]["num_fragments"]


async def size(table: AsyncTable) -> int:
    """Return the bytes of the rows' files."""
    stats: Any = await table.stats()
    return stats["total_bytes"]


async def lacking(table: AsyncTable) -> int:
    """Return how many chunks have no expansion."""
    there = EXPANSION in (await table.schema()).names
    return await table.count_rows(f"{EXPANSION} IS NULL" if there else None)


async def contents(table: AsyncTable) -> dict[str, str]:
    """Return the stored documents: key to content hash."""
    rows = await table.query().select(["document_key", "content"]).to_arrow()
    return dict(zip(rows["document_key"].to_pylist(), rows["content"].to_pylist(), strict=True))


async def documents(table: AsyncTable) -> dict[str, Stored]:
    """Return the stored documents by key."""
    columns = ["document_key", "document_id", "title", "content"]
    if SOURCE in (await table.schema()).names:
        columns.append(SOURCE)
    rows = (await table.query().select(columns).to_arrow()).to_pydict()
    sources = rows.get(SOURCE) or [""] * len(rows["content"])
    values = zip(
        rows["document_key"], rows["document_id"], rows["title"], rows["content"], sources, strict=True
    )
    return {
        key: Stored(document, title, content, source or "")
        for key, document, title, content, source in values
    }


async def passages(table: AsyncTable) -> list[tuple[str, str, str, list[tuple[int, int]]]]:
    """Return chunk id, document id, text and sentence spans of every chunk."""
    columns = ["chunk_id", "document_id", "text", "spans"]
    rows = (await table.query().select(columns).to_arrow()).to_pydict()
    return [
        (
            chunk,
            document,
            text,
            [(start, end) for start, end in np.frombuffer(spans or b"", np.int32).reshape(-1, 2).tolist()],
        )
        for chunk, document, text, spans in zip(*(rows[name] for name in columns), strict=True)
    ]


def make(folder: Path) -> None:
    """Make the folder; raises KnowledgeError naming what to do."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KnowledgeError(
            f"cannot write to {str(folder)!r} ({error.strerror}); set ANSWERDECK_DATA_DIR", "config"
        ) from None


def refused(error: Exception) -> str | None:
    """Return why the system refused to read or write, and what to do; None when it was something else."""
    text = str(error)
    for pattern, reason, remedy in _REFUSALS:
        if re.search(pattern, text, re.IGNORECASE):
            return f"{reason}, the last good version stays in force; {remedy} and run the same command again"
    return None


@contextmanager
def plainly(kb: str | None) -> Iterator[None]:
    """Turn the store's errors into KnowledgeError with a sentence fit for people; None: all are asked for."""
    whose = "the knowledge bases" if kb is None else f"knowledge base {kb!r}"
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        gone = getattr(error, "status_code", None) == 404  # as LanceDB's service says it
        if kb is not None and (gone or (isinstance(error, ValueError) and "was not found" in str(error))):
            raise KnowledgeError(
                f"there is no knowledge base {kb!r}; make one with: answerdeck ingest PATH --kb {kb}",
                "store_missing",
            ) from error
        if (trouble := elsewhere.trouble(error)) is not None:
            store, why = trouble
            raise KnowledgeError(f"the {store} of {whose} {why}", "store_refused") from error
        if (refusal := refused(error)) is not None:
            raise KnowledgeError(f"{whose}: {refusal}", "store_refused") from error
        reason = str(error).partition(", /")[0]  # the rest is a path on the machine Lance was built on
        log.warning("%s: %s: %.300s", whose, type(error).__name__, reason)
        raise KnowledgeError(
            f"{whose} cannot be read, its files are damaged; remove it and ingest again",
            "store_damaged",
        ) from error


async def searchable(table: AsyncTable, kb: str) -> bool:
    """Say whether the full-text index answers."""
    try:
        with plainly(kb):
            await matching(table, "text").select(["_score"]).limit(1).to_arrow()
    except KnowledgeError:
        return False
    return True


def matching(table: AsyncTable, query: str) -> Any:
    """Return the full-text query for the words of a question; its quotes and operators mean nothing."""
    from lancedb.query import MatchQuery

    sound = query[:TEXT_QUERY_CHARACTERS].encode("utf-8", "replace").decode()  # no lone surrogates
    return table.query().nearest_to_text(MatchQuery(sound, "searched"))  # pyright: ignore[reportCallIssue] its fields have defaults


def checked(kb: str) -> str:
    """Return the name, or raise KnowledgeError when it cannot name a knowledge base."""
    if not NAME.fullmatch(kb):
        raise KnowledgeError(
            f"{kb!r} cannot name a knowledge base; use 1 to 64 letters, digits, - and _", "config"
        )
    return kb


def mixed(kb: str, fingerprint: str, own: str) -> str:
    """Say that a knowledge base was embedded by another embedder than the configured one."""
    return (
        f"knowledge base {kb!r} was embedded by {fingerprint!r}, the configured embedder is {own!r} and the"
        f" two cannot be mixed; ingest into another name or remove it first: answerdeck kb remove {kb}"
    )


def quoted(keys: Sequence[str]) -> str:
    """Return document keys as a SQL list; they are hashes of ours, never a user's text."""
    if not all(KEY.fullmatch(key) for key in keys):
        raise ValueError("document keys are 32 hexadecimal digits")
    return ", ".join(f"'{key}'" for key in keys)


def label(version: int) -> str:
    """Return a table's version as people see it."""
    return f"v{version}"
