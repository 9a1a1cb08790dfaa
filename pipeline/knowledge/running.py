"""An ingestion as a job: its progress, its files and its end are noted, whatever happens."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import AnswerdeckError, KnowledgeError
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import MOST_STORED, Ingested, ingest
from pipeline.knowledge.ingestions import JobFile, Jobs
from pipeline.knowledge.reading.kinds import printable
from pipeline.knowledge.writer import Progress

log = logging.getLogger(__name__)
NOTE_SECONDS = 0.5  # least time between two notes of progress


def running_jobs(knowledge: Knowledge) -> Jobs:
    """Return the jobs beside a folder of knowledge bases."""
    return Jobs(knowledge.folder.parent / "jobs.sqlite")


async def run(
    paths: Sequence[Path | str],
    kb: str,
    knowledge: Knowledge,
    progress: Progress | None = None,
    *,
    prune: bool = False,
) -> Ingested:
    """Ingest as a job; raises what `ingest` raises, after the job says so."""
    record = running_jobs(knowledge)
    job_id = record.begin(kb, [printable(str(path)) for path in paths], prune)
    noted = 0.0
    stored: list[JobFile] = []

    def note(done: int, total: int, document: str) -> None:
        nonlocal noted
        stored.append(JobFile(document, "stored", ""))
        if done == total or time.monotonic() - noted >= NOTE_SECONDS:
            noted = time.monotonic()
            with _unhindered():
                record.progress(job_id, done, total, document)
                record.files(job_id, stored[-MOST_STORED:])
            stored.clear()
        if progress is not None:
            progress(done, total, document)

    try:
        result = await ingest(paths, kb, knowledge, note, prune=prune)
    except BaseException as error:  # noted on the job, and passed on
        stopped = not isinstance(error, AnswerdeckError | OSError)
        with _unhindered():
            record.end(job_id, "failed", "stopped" if stopped else str(error))
        raise
    files = [JobFile(name, "skipped", reason) for name, reason in result.skipped]
    with _unhindered():
        await asyncio.to_thread(record.files, job_id, files + list(map(_stored, result.stored)))
        record.end(job_id, "failed" if result.problem else "done", result.problem or sentence(result))
    return result


@contextmanager
def _unhindered() -> Iterator[None]:
    """Go on when the list of ingestions cannot be written: the documents matter more."""
    try:
        yield
    except KnowledgeError as error:
        log.warning("%s", error)


def sentence(result: Ingested) -> str:
    """Say what an ingestion did."""
    return (
        f"{result.added} added, {result.updated} updated, {result.unchanged} unchanged,"
        f" {result.removed} removed: {result.chunks} chunks in {result.seconds:.1f} s."
    )


def _stored(document: tuple[str, str]) -> JobFile:
    name, what = document
    return JobFile(name, "stored", what)
