"""The knowledge bases as the console reads and changes them; what goes wrong becomes a Problem."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import streamlit as st

from console.dashboard import data, disk, jobs, visitor, whose
from console.dashboard.data import Problem
from console.dashboard.jobs import Job
from pipeline import build, providers
from pipeline.auth import DEFAULT
from pipeline.context.ranks import PassageRanks, search_test
from pipeline.deeds import note
from pipeline.errors import AnswerdeckError
from pipeline.guardrails.planted import Suspect
from pipeline.knowledge import ingestions, running
from pipeline.knowledge.embedding import Embedder
from pipeline.knowledge.identity import Stored
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.reading.files import FILE_KINDS
from pipeline.knowledge.standing import Release, Status
from pipeline.knowledge.versions import VersionDifference
from pipeline.steps.guards import guards

STARTED = "console/ingestions"  # below the folder of the workspace
UPLOADS = "uploads"
COMMAND = (sys.executable, "-m", "console.cli", "ingest")
KINDS = [kind.removeprefix(".") for kind in FILE_KINDS.split()]


class DroppedFile(Protocol):
    """A file that somebody dropped on the page."""

    @property
    def name(self) -> str: ...

    def getvalue(self) -> bytes: ...


LISTED = 5_000  # titles that a list to choose from may have


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    """A knowledge base: how it stands, its documents by title, and its versions, the newest first."""

    status: Status
    documents: list[Stored]
    releases: list[Release]


@st.cache_resource
def embedder() -> Embedder:
    """Return the configured embedder, loaded once."""
    return providers.embedder(data.settings())


def knowledge() -> Knowledge:
    """Return the knowledge bases; fresh each time, since a connection belongs to one event loop."""
    return build.knowledge(data.settings(), embedder())


def names() -> list[str]:
    """Return the knowledge bases of the workspace that is looked at, the one that answers first."""
    first = answering()
    return sorted(filter(_seen, _run(knowledge().names())), key=lambda name: (name != first, name))


def answering() -> str:
    """Return the knowledge base that answers when none is chosen; for the first documents, a name for it."""
    owners, own = visitor.people().workspaces, whose.own()
    return owners.main(own, data.settings().kb) or (data.settings().kb if own == DEFAULT else own)


def check(kb: str) -> None:
    """Raise Problem when a knowledge base is another workspace's, whether it is there or not."""
    if not _seen(kb):
        raise Problem(f"There is no knowledge base {kb!r} here.", "Choose one of the list.")


def _seen(kb: str) -> bool:
    return whose.everything() or visitor.people().workspaces.of(kb) == whose.own()


def read(kb: str) -> KnowledgeBase:
    """Return all that the page shows of a knowledge base."""

    check(kb)

    async def everything() -> KnowledgeBase:
        bases = knowledge()
        status = await bases.status(kb)
        if status.version is None:
            return KnowledgeBase(status, [], [])
        stored = await bases.documents(kb)
        documents = sorted(
            stored.values(), key=lambda document: (document.title.casefold(), document.document_id)
        )
        return KnowledgeBase(status, documents, await bases.history(kb))

    return _run(everything())


@whose.cached(ttl=60, max_entries=20, show_spinner="Reading the titles …")
def titles(kb: str) -> dict[str, str]:
    """Return the title of each document of a knowledge base by its id, by title; {} for more than LISTED."""
    documents = read(kb).documents
    listed = documents if len(documents) <= LISTED else []
    return {document.document_id: document.title or document.document_id for document in listed}


def statuses() -> list[Status]:
    """Return how each knowledge base stands, the one that answers first."""

    async def everything(names: list[str]) -> list[Status]:
        bases = knowledge()
        return [await bases.status(kb) for kb in names]

    return _run(everything(names()))


def difference(kb: str, before: str, after: str) -> VersionDifference:
    """Return what changed from one version to another."""
    check(kb)
    return _run(knowledge().difference(kb, before, after))


def search(kb: str, question: str) -> list[PassageRanks]:
    """Return what a question finds."""
    check(kb)
    bases = knowledge()
    return _run(search_test(build.retriever(data.settings(), bases), question, kb))


@whose.cached(max_entries=20, show_spinner="Reading every sentence …")
def suspects(kb: str, version: str) -> list[Suspect]:
    """Return the sentences of a version that instruct the assistant, the most certain first."""
    check(kb)
    del version  # tells the cache that the contents changed
    planted = guards(data.settings(), embedder()).planted
    passages = _run(knowledge().passages(kb))
    wrong = [suspect for row in passages for suspect in planted.suspects(*row)]
    return sorted(wrong, key=lambda suspect: (-suspect.probability, suspect.chunk_id))


def rollback(kb: str, version: str) -> str:
    """Go back to a version; returns the label in force."""
    visitor.need("editor", "roll a knowledge base back")
    check(kb)
    now = _run(knowledge().rollback(kb, version))
    note(data.settings(), f"knowledge base {kb}: back to {version}")
    return now


def forget(kb: str, documents: Sequence[str]) -> str:
    """Remove documents; returns the version to take them back from."""
    visitor.need("editor", "remove documents")
    check(kb)
    before = _run(knowledge().forget(kb, documents))
    note(data.settings(), f"knowledge base {kb}: {len(documents)} documents removed")
    return before


def restore(kb: str, documents: Sequence[str], version: str) -> str:
    """Take documents back as a version has them; returns the label in force."""
    visitor.need("editor", "take documents back")
    check(kb)
    now = _run(knowledge().restore(kb, documents, version))
    note(data.settings(), f"knowledge base {kb}: {len(documents)} documents taken back")
    return now


def keep(folder: Path, kb: str, files: Sequence[DroppedFile]) -> list[Path]:
    """Keep dropped files below the data folder under their own names, so that a newer one replaces it.

    Raises Problem when two files of one drop have the same name, or a name is none.
    """
    _own(kb)
    place = folder / UPLOADS / kb
    place.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for file in files:
        path = place / PurePosixPath(file.name.replace("\\", "/")).name
        if path.name in ("", ".", "..") or "\0" in path.name:
            raise Problem(f"A file cannot be called {file.name!r}.", "Give it another name.")
        if path in paths:
            raise Problem(f"Two files are called {path.name!r}.", "Drop them one after the other.")
        paths.append(path)
    for file, path in zip(files, paths, strict=True):
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_bytes(file.getvalue())
        part.replace(path)
    return paths


def _own(kb: str) -> None:
    """Let a knowledge base that is still to be made belong to the workspace that is looked at."""
    visitor.need("editor", "add documents")
    owners, own = visitor.people().workspaces, whose.own()
    if own != DEFAULT and owners.of(kb) == DEFAULT and kb not in _run(knowledge().names()):
        owners.give(own, kb, visitor.name())
    check(kb)


def ingest(kb: str, paths: Sequence[Path], *, prune: bool = False) -> Job:
    """Start to ingest files in a process of its own."""
    visitor.need("editor", "add documents")
    check(kb)
    folder = data.settings().own.path
    note(data.settings(), f"knowledge base {kb}: {len(paths)} files to be added")
    key = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    command = [*COMMAND, *map(str, paths), "--kb", kb, "--json", *(["--prune"] if prune else [])]
    return jobs.launch(folder, STARTED, key, command, kb)


def resume(job: ingestions.Ingestion) -> Job:
    """Start an ingestion again that was interrupted or failed; it goes on where it stopped."""
    visitor.need("editor", "add documents")
    gone = [path for path in job.paths if not Path(path).exists()]
    if gone:
        raise Problem(f"{gone[0]} is no longer there.", "Put it back, or drop the files again.")
    return ingest(job.kb, [Path(path) for path in job.paths], prune=job.prune)


def ingested(kb: str) -> list[ingestions.Ingestion]:
    """Return the ingestions of a knowledge base, the newest first."""
    check(kb)
    with _plainly():
        return [job for job in running.running_jobs(knowledge()).list(100) if job.kb == kb]


def files(job: ingestions.Ingestion) -> list[ingestions.JobFile]:
    """Return what came of the files of an ingestion, failures first."""
    with _plainly():
        return running.running_jobs(knowledge()).of(job.job_id)


def unborn(kb: str, recorded: Sequence[ingestions.Ingestion]) -> list[Job]:
    """Return the ingestions started here that noted nothing yet, or ended before they could."""
    newest = max((job.began_at for job in recorded), default=0.0)
    started = jobs.remembered(data.settings().own.path, STARTED).values()
    return [item for item in started if item.title == kb and _at(item) > newest]


def output(job: Job) -> str:
    """Return the end of what an ingestion printed."""
    return jobs.output(data.settings().own.path, job.run_id, STARTED)


def _at(job: Job) -> float:
    return datetime.fromisoformat(job.started_at).timestamp()


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    with _plainly():
        return asyncio.run(work)


@contextmanager
def _plainly() -> Iterator[None]:
    """Say what cannot be done with a knowledge base as a Problem."""
    try:
        yield
    except (AnswerdeckError, OSError) as error:
        text = disk.why(error)
        raise Problem(
            f"{text[:1].upper()}{text[1:]}.", "`answerdeck kb status` says how it stands."
        ) from None
