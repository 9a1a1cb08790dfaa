"""`answerdeck ingest` and `kb …`: documents in, versions back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pipeline.knowledge.index import Knowledge

kb_app = typer.Typer(no_args_is_help=True, help="Look after the knowledge bases.")
Name = Annotated[str | None, typer.Option("--kb", help="Knowledge base; default from the configuration.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    app.command()(ingest)
    app.add_typer(kb_app, name="kb")


def _knowledge() -> tuple[Knowledge, str]:
    from pipeline.build import embedder
    from pipeline.knowledge.index import Knowledge
    from pipeline.settings import load

    settings = load()
    return Knowledge(settings.data_dir / "knowledge", embedder(settings)), settings.kb


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders: md txt html pdf docx csv jsonl.")],
    kb: Name = None,
    prune: Annotated[bool, typer.Option(help="Remove documents that are no longer there.")] = False,
    json: Json = False,
) -> None:
    """Add documents to a knowledge base; unchanged ones are skipped, an interrupted run goes on."""
    import asyncio

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from console.commands.screen import emit, wrong
    from pipeline.knowledge.ingest import ingest as run

    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise wrong(f"there is no {', '.join(missing)}")
    knowledge, default = _knowledge()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=json) as bar:
        task = bar.add_task("Reading documents", total=None)

        def progress(done: int, total: int, document: str) -> None:
            bar.update(task, completed=done, total=total, description=document[:40])

        result = asyncio.run(run(paths, kb or default, knowledge, progress=progress, prune=prune))
    if json:
        emit(asdict(result))
        return
    print(
        f"{result.added} added, {result.updated} updated, {result.unchanged} unchanged,"
        f" {result.removed} removed: {result.chunks} chunks in {result.seconds:.1f} s."
    )
    for path, reason in result.skipped:
        print(f"  skipped {path}: {reason}")
    if result.pending:
        print(f"  {result.pending} documents wait; run the same command again to go on.")
    if result.problem:
        print(f"  {result.problem}")


@kb_app.command("list")
def list_kbs(json: Json = False) -> None:
    """List the knowledge bases."""
    import asyncio

    from console.commands.screen import emit, table

    knowledge, default = _knowledge()

    async def statuses() -> list[Any]:
        return [await knowledge.status(name) for name in await knowledge.names()]

    rows = [asdict(status) for status in asyncio.run(statuses())]
    if json:
        emit(rows)
    elif not rows:
        print("There is no knowledge base yet. Add documents: answerdeck ingest PATH")
    else:
        table(list(rows[0]), (list(row.values()) for row in rows), title=f"answering: {default}")


@kb_app.command()
def status(kb: Name = None, json: Json = False) -> None:
    """Show a knowledge base: version, size, embedder, lag."""
    import asyncio

    from console.commands.screen import emit, table

    knowledge, default = _knowledge()
    found = asdict(asyncio.run(knowledge.status(kb or default)))
    if json:
        emit(found)
    else:
        table(("what", "value"), found.items())


@kb_app.command()
def history(kb: Name = None, json: Json = False) -> None:
    """List the versions one can go back to."""
    import asyncio

    from console.commands.screen import emit, table

    knowledge, default = _knowledge()
    rows = [asdict(release) for release in asyncio.run(knowledge.history(kb or default))]
    if json:
        emit(rows)
    elif rows:
        table(list(rows[0]), (list(row.values()) for row in rows))
    else:
        print("No version has been released yet.")


@kb_app.command()
def rollback(
    version: Annotated[str, typer.Argument(help="A version from `kb history`.")], kb: Name = None
) -> None:
    """Go back to an earlier version; the running chat follows with its next turn."""
    import asyncio

    knowledge, default = _knowledge()
    now = asyncio.run(knowledge.rollback(kb or default, version))
    print(f"{kb or default} answers from version {now}.")


@kb_app.command()
def remove(
    kb: Annotated[str, typer.Argument(help="The knowledge base to delete.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a knowledge base with all its versions."""
    import asyncio

    knowledge, _ = _knowledge()
    if not yes:
        typer.confirm(f"Delete {kb!r} with all its versions? This cannot be undone", abort=True)
    asyncio.run(knowledge.remove(kb))
    print(f"{kb} is deleted.")
