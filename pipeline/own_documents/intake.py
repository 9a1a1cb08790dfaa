"""Reads a file into its owner's documents, in a process of its own."""

from __future__ import annotations

import asyncio
import fcntl
import json
import math
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipeline.knowledge.documents import Document, Skipped
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import store
from pipeline.knowledge.purging import purge
from pipeline.knowledge.reading import files
from pipeline.knowledge.reading.child import ReaderProcess

PAGE_CHARACTERS = 3_000  # of text, whatever the kind of file
SECONDS = 600.0  # for one file
_REASONS = (  # in what a reader says: the name of the sentence
    ("password", "locked"),
    ("too large", "large"),
    (" pages", "long"),
    ("characters of text", "long"),
    ("no text", "empty"),
    ("without rows", "empty"),
)


@dataclass(frozen=True, slots=True)
class ReadingOrder:
    """A file to be read: into which person's documents, from where, under what name, how long at most."""

    kb: str
    path: str
    name: str
    pages: int


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of it: so many pages are in force, or the reason why none is."""

    pages: int | None = None
    reason: str | None = None


async def bring(order: ReadingOrder, knowledge: Knowledge) -> Brought:
    """Put the file's text in force, in the place of an earlier one of the same name; all of it or nothing."""
    documents, skipped = await asyncio.to_thread(_read, order)
    if not documents:
        return Brought(reason=_reason(skipped))
    pages = sum(max(1, math.ceil(len(document.text) / PAGE_CHARACTERS)) for document in documents)
    if pages > order.pages:
        return Brought(reason="long")
    async with alone(knowledge, order.kb):
        await _settle(order.kb, knowledge)
        result = await store(documents, order.kb, knowledge)
        if result.problem is not None:
            return Brought(reason="failed")
        if not result.useful:
            return Brought(reason="empty")
        new = {document.document_id for document in documents}
        await _drop(
            [old for old in await _of(order.name, order.kb, knowledge) if old not in new], order.kb, knowledge
        )
    return Brought(pages)


async def take_out(name: str, kb: str, knowledge: Knowledge) -> None:
    """Remove what a file brought; nothing of it stays on the disk."""
    if knowledge.exists(kb):
        async with alone(knowledge, kb):
            await _settle(kb, knowledge)
            await _drop(await _of(name, kb, knowledge), kb, knowledge)


async def _drop(ids: list[str], kb: str, knowledge: Knowledge) -> None:
    held = {document.document_id for document in (await knowledge.documents(kb)).values()}
    if ids and held <= set(ids):
        await knowledge.remove(kb)
    elif ids:
        await knowledge.forget(kb, ids)
        await purge(knowledge, kb)


async def _of(name: str, kb: str, knowledge: Knowledge) -> list[str]:
    """Return the ids of the documents that a file of this name brought."""
    ids = [document.document_id for document in (await knowledge.documents(kb)).values()]
    own = called(name)
    return [document_id for document_id in ids if document_id == own or document_id.startswith(f"{own}/")]


async def _settle(kb: str, knowledge: Knowledge) -> None:
    """Undo what a run that was killed left half done: nobody has seen it yet."""
    if knowledge.exists(kb) and await knowledge.unreleased(kb):
        release = next((r for r in await knowledge.history(kb) if r.current), None)
        if release is None:
            await knowledge.remove(kb)
        else:
            await knowledge.rollback(kb, release.version)


@asynccontextmanager
async def alone(knowledge: Knowledge, kb: str) -> AsyncIterator[None]:
    """Be the only one who changes a person's documents, from the first look to the release."""
    knowledge.folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(knowledge.folder / f"{kb}.intake", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        await asyncio.to_thread(fcntl.flock, handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def called(name: str) -> str:
    """Return the id of the document that a file of this name is; no team's document is called so."""
    return f"own/{name}"


def _read(order: ReadingOrder) -> tuple[list[Document], list[Skipped]]:
    reader = ReaderProcess()
    try:
        items = list(files.read(Path(order.path), order.name, reader.read))
    finally:
        reader.close()
    documents = [
        _owned(item, order.name) for item in items if isinstance(item, Document) and item.text.strip()
    ]
    return documents, [item for item in items if isinstance(item, Skipped)]


def _owned(document: Document, name: str) -> Document:
    """Return the document under an id of its file's, from no file that stays."""
    own = called(name)
    document_id = own if document.document_id == name else f"{own}/{document.document_id}"
    return replace(document, document_id=document_id, source="", given=True)


def _reason(skipped: Iterable[Skipped]) -> str:
    text = " ".join(item.reason for item in skipped)
    return next((reason for sign, reason in _REASONS if sign in text), "broken" if text else "empty")


async def outside(order: ReadingOrder, data_dir: Path) -> Brought:
    """Do it in a process of its own, which ends with this one; raises OSError, ValueError, TimeoutError."""
    process = await asyncio.to_thread(_started, data_dir)
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(
            json.dumps(asdict(order)).encode() + b"\n"
        )  # stays open: its end ends the process
        async with asyncio.timeout(SECONDS):
            line = await asyncio.to_thread(process.stdout.readline)
        return Brought(**json.loads(line))
    finally:
        process.kill()
        await asyncio.to_thread(_ended, process)


def _started(data_dir: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.own_documents.intake_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env={**os.environ, "ANSWERDECK_DATA_DIR": str(data_dir), "OPENBLAS_NUM_THREADS": "1"},
    )


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
