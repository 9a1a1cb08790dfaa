"""Brings documents into a knowledge base: only what changed, whole documents per commit."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import KnowledgeError
from pipeline.knowledge import vector_files
from pipeline.knowledge.chunking import Chunk, chunk
from pipeline.knowledge.documents import Document, Skipped, cleaned
from pipeline.knowledge.embedding import Embedder
from pipeline.knowledge.expanding import complete
from pipeline.knowledge.identity import Prepared, ResolvedDocuments, Stored, resolve
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.reading import markdown
from pipeline.knowledge.reading.folders import read
from pipeline.knowledge.reading.kinds import printable
from pipeline.knowledge.writer import Progress, Ready, WaitingDocument, Writer

SAMPLE = Path(__file__).parent / "sample"
MOST_STORED = 1_000  # documents whose storing is told one by one
GONE = "gone"  # with this ingestion
MOST_NAMED = 20  # documents named one by one in a note

__all__ = ["Progress", "Ready"]


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingestion did.

    `skipped` names what was left out and why; `pending` documents wait for the next run because of
    `problem`; `remaining` are stored documents whose file is gone or was not read, with the reason;
    `notes` say what took the place of what.
    """

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
    remaining: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    stored: tuple[tuple[str, str], ...] = ()  # the first documents stored, each "added" or "updated"

    @property
    def useful(self) -> bool:
        """Whether anything was stored, removed or found in order."""
        return bool(self.added or self.updated or self.unchanged or self.removed)


@dataclass(frozen=True, slots=True)
class Scope:
    """What was given: folders, files by themselves, and every file that was looked at."""

    folders: tuple[str, ...] = ()
    files: frozenset[str] = frozenset()
    seen: frozenset[str] = frozenset()
    incomplete: frozenset[str] = frozenset()  # files of which something was left out
    everything: bool = False  # the documents given are all there are

    @classmethod
    def of(cls, paths: Sequence[Path], items: Sequence[Document | Skipped]) -> Scope:
        """Return the scope of a run over paths."""
        given = [(path, printable(str(path.absolute()))) for path in paths]
        return cls(
            folders=tuple(os.path.normpath(text) for path, text in given if path.is_dir()),
            files=frozenset(text for path, text in given if not path.is_dir()),
            seen=frozenset(document.source for document in items if document.source),
            incomplete=frozenset(
                document.source for document in items if isinstance(document, Skipped) and document.source
            ),
        )

    def holds(self, source: str) -> bool:
        """Say whether a file lies in one of the folders or was given itself."""
        return source in self.files or any(source.startswith(f"{folder}{os.sep}") for folder in self.folders)

    def emptied(self, source: str) -> bool:
        """Say whether a file lay in a given folder that has no file now, as when a mount is gone."""
        around = [folder for folder in self.folders if source.startswith(f"{folder}{os.sep}")]
        return any(not any(file.startswith(f"{folder}{os.sep}") for file in self.seen) for folder in around)


@dataclass(slots=True)
class IngestWork:
    """The given documents, by what is to be done about them."""

    waiting: list[WaitingDocument] = field(default_factory=list)
    unchanged: int = 0
    seen: set[str] = field(default_factory=set)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    remaining: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def ingest(
    paths: Sequence[Path | str],
    kb: str,
    knowledge: Knowledge,
    progress: Progress | None = None,
    *,
    prune: bool = False,
) -> Ingested:
    """Bring files and folders into a knowledge base; see `store`.

    Rows that are no longer in a given file go. Documents of the given folders whose file is gone are
    named, and go with `prune`. Raises KnowledgeError when a path does not exist or the knowledge base
    cannot be written.
    """
    places = _places(paths)
    elsewhere = getattr(knowledge.embedder, "readers", None)
    readers = None if elsewhere is None else elsewhere()
    items = await asyncio.to_thread(lambda: list(read(places, readers=readers)))
    documents = [item for item in items if isinstance(item, Document)]
    skipped = [(item.name, item.reason) for item in items if isinstance(item, Skipped)]
    scope = Scope.of(places, items)
    async with knowledge.writing(kb):
        return await _store(documents, kb, knowledge, progress, _Order(scope, prune, skipped=tuple(skipped)))


def _places(paths: Sequence[Path | str]) -> list[Path]:
    return [Path(os.path.normpath(Path(path).absolute())) for path in paths]


async def store(
    documents: Iterable[Document],
    kb: str,
    knowledge: Knowledge,
    progress: Progress | None = None,
    *,
    prune: bool = False,
    ready: Ready | None = None,
) -> Ingested:
    """Store the documents that are new or changed and release a version.

    Stopped half-way, a second run goes on where the first ended. `prune` removes the documents
    that were not given; `ready` holds vectors known already.
    """
    async with knowledge.writing(kb):
        return await _store(
            documents, kb, knowledge, progress, _Order(Scope(everything=True), prune, ready or {})
        )


@dataclass(frozen=True, slots=True)
class _Order:
    scope: Scope
    prune: bool
    ready: Ready = field(default_factory=dict)
    skipped: tuple[tuple[str, str], ...] = ()


async def _store(
    documents: Iterable[Document], kb: str, knowledge: Knowledge, progress: Progress | None, order: _Order
) -> Ingested:
    began = time.monotonic()
    stored = await knowledge.documents(kb)
    work = await asyncio.to_thread(_sort, documents, stored, order)
    writer = Writer(kb, knowledge, order.ready, len(work.waiting), progress)
    problem = await writer.write(work.waiting)
    gone = work.gone if problem is None else []
    version = await _release(kb, knowledge, writer, gone, bool(stored))
    new = [document.stored for document in writer.stored if not document.adopted]
    return Ingested(
        added=new.count(False),
        updated=new.count(True),
        unchanged=work.unchanged + len(writer.stored) - len(new),
        removed=len(gone),
        skipped=(*order.skipped, *work.skipped, *writer.failed.items()),
        chunks=sum(len(document.prepared.chunks) for document in writer.stored if not document.adopted),
        seconds=time.monotonic() - began,
        version=version,
        pending=len(work.waiting) - len(writer.stored) - len(writer.failed),
        problem=problem,
        remaining=tuple(work.remaining),
        notes=tuple(work.notes),
        stored=tuple(
            (document.prepared.document.document_id, "updated" if document.stored else "added")
            for document in writer.stored[:MOST_STORED]
            if not document.adopted
        ),
    )


async def _release(
    kb: str, knowledge: Knowledge, writer: Writer, gone: Sequence[str], stored: bool
) -> str | None:
    """Drop what is gone and put all in force; returns the version, None when nothing changed."""
    version = None
    try:
        if gone:
            await knowledge.drop(kb, gone)
        there = stored or bool(writer.stored)
        expanded = there and await complete(knowledge, kb)
        if writer.stored or gone or expanded or (stored and await knowledge.unreleased(kb)):
            version = await knowledge.release(kb)
        elif stored:
            await knowledge.mend(kb)
    except KnowledgeError:
        with suppress(KnowledgeError):  # the same disk may be full for the note
            writer.unreleased()
        raise
    writer.released()
    return version


async def ensure_sample(knowledge: Knowledge, kb: str, progress: Progress | None = None) -> Ingested | None:
    """Load the shipped sample, unless the knowledge base holds other documents; None when it does."""
    documents = sample()
    contents = await knowledge.contents(kb)
    if not contents.keys() <= {document.key for document in documents}:
        return None
    return await store(documents, kb, knowledge, progress, ready=sample_vectors(knowledge.embedder))


def sample() -> list[Document]:
    """Return the pages of the shipped handbook; a page's id is its file's name without the suffix."""
    return [
        cleaned(Document(path.stem, *markdown.read(path.read_bytes(), path.name)))
        for path in sorted(SAMPLE.glob("*.md"))
    ]


def _sort(documents: Iterable[Document], stored: dict[str, Stored], order: _Order) -> IngestWork:
    """Tell what is new or changed from what is stored already, cannot be, or is there no more."""
    work = IngestWork()
    resolved = resolve(list(_prepared(documents, work)), stored.values(), order.scope.files)
    work.notes += resolved.notes
    places: dict[str, str] = {}
    for prepared in resolved.prepared:
        document = prepared.document
        key, where = document.key, document.where or document.document_id
        if key in work.seen:
            work.skipped.append((where, f"another document has the same id{places[key]}"))
            continue
        work.seen.add(key)
        places[key] = f" {document.document_id!r}: {document.where}" if document.where else ""
        before = stored.get(key)
        moved = before is not None and _adopts(before, document)
        if before is None or before.content != prepared.content:
            work.waiting.append(WaitingDocument(prepared, before is not None))
        elif moved:
            work.waiting.append(WaitingDocument(prepared, True, adopted=True))
        else:
            work.unchanged += 1
    _leave(work, stored, resolved, order)
    return work


def _prepared(documents: Iterable[Document], work: IngestWork) -> Iterable[Prepared]:
    for document in map(cleaned, documents):
        chunks = tuple(chunk(document))
        if chunks:
            yield Prepared(document, chunks, _content(document, chunks))
        else:
            work.skipped.append((document.where or document.document_id, "no text in it"))


def _adopts(before: Stored, document: Document) -> bool:
    """Say whether an unchanged document is to be kept under another file: its old one is gone or unknown."""
    return before.source != document.source and bool(document.source) and not Path(before.source).exists()


def _leave(work: IngestWork, stored: dict[str, Stored], resolved: ResolvedDocuments, order: _Order) -> None:
    """Sort the stored documents that were not given into those that go, and those that are named."""
    read = {prepared.document.source for prepared in resolved.prepared} | set(resolved.before.values())
    elsewhere: list[Stored] = []
    for key, document in stored.items():
        if key in work.seen:
            continue
        fate = _fate(document, read, order)
        if fate == GONE:
            work.gone.append(key)
        elif fate is not None:
            work.remaining.append((document.document_id, fate))
        elif document.source and not order.scope.everything:
            elsewhere.append(document)
    if elsewhere:
        work.notes.append(f"also in it, from other places: {_names(elsewhere)}")


def _fate(document: Stored, read: set[str], order: _Order) -> str | None:
    """Return GONE, or why a document that was not given stays; None when there is nothing to say."""
    scope, source = order.scope, document.source
    if scope.everything:
        return GONE if order.prune else None
    if not source:
        return None
    if source in read and source not in scope.incomplete:
        return GONE
    if source in scope.seen:
        return "its file could not be read whole, its earlier text stays"
    if scope.holds(source):
        if scope.emptied(source):
            return "its folder holds no file any more; is a disk missing? kb remove takes it out all the same"
        return GONE if order.prune else "its file is gone; --prune removes it"
    return None if Path(source).exists() else f"{source} is no longer there"


def _names(documents: Sequence[Stored]) -> str:
    """Return the first names of them, and how many more there are."""
    names = sorted(document.document_id for document in documents)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _content(document: Document, chunks: Sequence[Chunk]) -> str:
    """Hash all that is stored of a document, so that another way of cutting counts as a change."""
    digest = hashlib.blake2b(digest_size=16)
    for text in (document.title, document.url):
        digest.update(text.encode() + b"\0")
    for piece in chunks:
        digest.update(vector_files.key(*piece.embedded))
    return digest.hexdigest()


def sample_vectors(embedder: Embedder) -> Ready:
    """Return the shipped vectors by key; none when another embedder made them."""
    with np.load(SAMPLE / "vectors.npz") as file:
        if str(file["fingerprint"]) != embedder.fingerprint:
            return {}
        keys, ends, rows = file["keys"], file["ends"].tolist(), file["rows"]
        expansions = _expansions(file)
    return {
        key.tobytes(): replace(vector_files.unpack(rows[start:end], True), expansion=expansion)
        for key, start, end, expansion in zip(keys, [0, *ends[:-1]], ends, expansions, strict=True)
    }


def _expansions(file: Mapping[str, Any]) -> list[bytes | None]:
    """Return the shipped word pieces of each chunk; None for one whose number of bytes is -1."""
    sizes, stored = file["expanded"].tolist(), file["expansions"].tobytes()
    ends = np.cumsum(np.maximum(sizes, 0)).tolist()
    return [None if size < 0 else stored[end - size : end] for size, end in zip(sizes, ends, strict=True)]
