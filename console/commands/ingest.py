"""`answerdeck ingest`: documents in, once or as a folder changes."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from console.commands.crew import crew
from console.commands.kb import Json, Name, chosen, knowledge_bases
from console.commands.screen import emit, wrong
from evalsets.reasking import ask_again
from pipeline.errors import AnswerdeckError
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import Ingested
from pipeline.knowledge.reading.kinds import printable
from pipeline.knowledge.running import run, sentence
from pipeline.knowledge.tables import checked
from pipeline.knowledge.watch import follow
from pipeline.providers import embedder, embedder_url
from pipeline.settings import load_settings
from pipeline.spread import Spread
from traces.errors import TracesError

SHOWN = 50  # lines of one kind printed


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders: md txt html pdf docx csv jsonl.")],
    kb: Name = None,
    prune: Annotated[
        bool, typer.Option(help="Remove documents of the given folders whose file is gone.")
    ] = False,
    watch: Annotated[bool, typer.Option(help="Go on, and ingest what changes; Ctrl-C stops.")] = False,
    on: Annotated[
        str | None,
        typer.Option("--on", help="Read and embed on processes, processes:N, ray or ray://host:port."),
    ] = None,
    json: Json = False,
) -> None:
    """Add documents to a knowledge base; unchanged ones are skipped, an interrupted run goes on."""
    missing = [printable(str(path)) for path in paths if not path.exists()]
    if missing:
        raise wrong(f"there is no {', '.join(missing)}")
    with ExitStack() as stack:
        knowledge, default = knowledge_bases(_spread(on, stack))
        _ingest(paths, checked(chosen(None, kb, default)), knowledge, prune, watch=watch, json=json)


def _spread(on: str | None, stack: ExitStack) -> Spread | None:
    """Return an embedder that works at a place until the stack ends; None when it is to be here."""
    if (workers := crew(on, stack)) is None:
        return None
    settings = load_settings()
    return Spread(embedder(settings), workers, settings.embedder, embedder_url(settings))


def _ingest(
    paths: list[Path], name: str, knowledge: Knowledge, prune: bool, *, watch: bool, json: bool
) -> None:
    if watch:
        try:
            asyncio.run(_follow(paths, name, knowledge, prune, json))
        except KeyboardInterrupt:
            print("Stopped; the documents stored so far stay.")
        return
    result = asyncio.run(_run(paths, name, knowledge, prune, quiet=json))
    _show(result, name, json)
    asyncio.run(_ask_again(result, name))
    if not result.useful:
        raise typer.Exit(1)


async def _run(paths: list[Path], kb: str, knowledge: Knowledge, prune: bool, *, quiet: bool) -> Ingested:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=quiet) as bar:
        task = bar.add_task("Reading documents", total=None)

        def progress(done: int, total: int, document: str) -> None:
            bar.update(task, completed=done, total=total, description=escape(document[:40]))

        return await run(paths, kb, knowledge, progress, prune=prune)


async def _follow(paths: list[Path], kb: str, knowledge: Knowledge, prune: bool, json: bool) -> None:
    shown: object = None  # what was printed last; the same is not printed again

    async def changed() -> bool:
        nonlocal shown
        before = shown
        try:
            result = await _run(paths, kb, knowledge, prune, quiet=True)
        except (AnswerdeckError, OSError) as error:
            shown = str(error)
            if shown != before:
                print(f"Error: {error}; trying again", file=sys.stderr, flush=True)
            return False
        shown = (result.skipped, result.remaining, result.problem)
        if result.added or result.updated or result.removed or shown != before:
            _show(result, kb, json)
        await _ask_again(result, kb)
        return result.problem is None

    if not json:
        print(f"Following {len(paths)} path(s) into {kb!r}; Ctrl-C stops.", flush=True)
    await follow(paths, changed)


async def _ask_again(result: Ingested, kb: str) -> None:
    """Ask what had no answer again when documents came; what it gave is on standard error."""
    if not (result.added or result.updated):
        return
    try:
        results = await ask_again(load_settings(), kb)
    except (AnswerdeckError, TracesError, OSError) as error:
        print(f"Unanswered questions were not asked again: {error}", file=sys.stderr, flush=True)
        return
    if results:
        answered = sum(row.answered for row in results)
        print(
            f"Unanswered questions asked again: {answered} of {len(results)} have an answer now "
            "(page Topics, section Unanswered).",
            file=sys.stderr,
            flush=True,
        )


def _show(result: Ingested, kb: str, json: bool) -> None:
    if json:
        emit({name: value for name, value in asdict(result).items() if name != "stored"})
        return
    print(sentence(result), flush=True)
    _lines([f"skipped {path}: {reason}" for path, reason in result.skipped])
    _lines([f"remains {document}: {reason}" for document, reason in result.remaining])
    if result.remaining:
        print(f"  to remove one: answerdeck kb remove {kb} --document {result.remaining[0][0]!r}")
    _lines(list(result.notes))
    if result.pending:
        print(f"  {result.pending} documents wait; run the same command again to go on.")
    if result.problem:
        print(f"  {result.problem}")
    if not result.useful:
        print("  Nothing was stored. Files of these kinds are read: md txt html pdf docx csv tsv jsonl json.")


def _lines(lines: list[str]) -> None:
    for line in lines[:SHOWN]:
        print(f"  {line}")
    if len(lines) > SHOWN:
        print(f"  and {len(lines) - SHOWN} more; --json lists all")
