"""`answerdeck traces …`: look at the ledger, export it, keep it in bounds; `doctor`."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer

from console.commands.reading import Workspace, reading
from console.commands.screen import emit, failed, table
from evalsets.sorting import Sorter
from pipeline import build
from pipeline.context.blame import Blame, blame_passage
from pipeline.errors import KnowledgeError
from pipeline.settings import load_settings
from traces.queries.turns import trace
from traces.records import Trace
from traces.store import Store

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _store() -> Store:
    return build.store(load_settings())


def show(
    turn_id: Annotated[str, typer.Argument(help="The id of a turn.")],
    blame: Annotated[str | None, typer.Option(help="A chunk or document id: where was it lost?")] = None,
    workspace: Workspace = None,
    json: Json = False,
) -> None:
    """Show all that was recorded of a turn, or where it lost a passage."""
    with reading(workspace) as ledger:
        turn = trace(ledger, turn_id)
    if turn is None:
        raise failed(f"there is no turn {turn_id!r}; list the latest with: answerdeck traces tail")
    if blame is not None:
        _blame(turn, blame, json)
        return
    if json:
        emit(asdict(turn))
        return
    ways = (("chosen_by", span.attributes.get("chosen_by")) for span in turn.spans)
    columns = [*asdict(turn.turn).items(), *ways]
    table(("column", "value"), ((k, v) for k, v in columns if v is not None), "Turn")
    spans = (
        (s.name, f"{s.start_seconds * 1000:.1f}", f"{s.seconds * 1000:.1f}", s.error) for s in turn.spans
    )
    table(("span", "start ms", "ms", "error"), spans, "\nSpans")
    scores = (
        (p.rank, p.n, p.title, _short(p.vector_score), _short(p.text_score), _short(p.fused_score), p.cited)
        for p in turn.passages
    )
    table(("rank", "n", "passage", "vector", "text", "fused", "cited"), scores, "\nPassages")
    print(f"\nPrompt\n{turn.payload.prompt or '—'}\n\nRaw response\n{turn.payload.raw_response or '—'}")


def _blame(turn: Trace, name: str, json: bool) -> None:
    async def judged() -> Blame:
        settings = load_settings()
        bases = build.knowledge(settings)
        retriever = build.retriever(settings, bases)
        try:
            return await blame_passage(retriever, turn, name, settings.retrieval.passages)
        finally:
            await retriever.close()
            if close := getattr(bases.embedder, "close", None):
                close()

    try:
        verdict = asyncio.run(judged())
    except KnowledgeError as error:
        raise failed(str(error)) from None
    if json:
        emit(verdict.to_dict())
        return
    ranks = asdict(verdict)
    names = ("text_rank", "vector_rank", "fused_rank", "reranked", "packed", "cited")
    table(("stage", "rank"), ((name, "—" if ranks[name] is None else ranks[name]) for name in names))
    print(verdict.sentence)


def tail(
    limit: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many turns.")] = 20,
    workspace: Workspace = None,
    json: Json = False,
) -> None:
    """List the latest turns."""
    _list(None, limit, workspace, json)


def search(
    text: Annotated[str, typer.Argument(help="A part of the question or the answer.")],
    limit: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many turns.")] = 20,
    workspace: Workspace = None,
    json: Json = False,
) -> None:
    """Find turns by their question or answer."""
    _list(text, limit, workspace, json)


def drain(json: Json = False) -> None:
    """Move the journal into the store now; `up` does this by itself."""
    store = _store()
    drained = store.drain()
    if drained.elected:
        Sorter(store).sort()
    if json:
        emit(asdict(drained))
    elif drained.elected:
        print(f"{drained.lines} records moved.")
    else:
        print("Another process is draining already.")


def rebuild() -> None:
    """Make the sums of hours, days and conversations anew out of the recorded turns."""
    store = _store()
    store.rebuild()
    Sorter(store).anew()
    print("All sums and topics were made anew.")


def _list(text: str | None, limit: int, workspace: str | None, json: bool) -> None:
    with reading(workspace) as ledger:
        rows = ledger.rows(
            "select turn_id, started_at, user_id, outcome, model, seconds, question from turns"
            " where cast($text as varchar) is null or question ilike $text or answer ilike $text"
            " order by turn_id desc limit $limit",
            text=None if text is None else f"%{text}%",
            limit=limit,
        )
    if json:
        emit(rows)
    elif rows:
        table(list(rows[0]), (_row(row) for row in rows))
    else:
        print("No turn was found." if text else "No turns yet. Ask something: answerdeck ask '…'")


def _row(row: dict[str, Any]) -> list[Any]:
    seconds = None if row["seconds"] is None else f"{row['seconds']:.2f} s"
    return list({**row, "started_at": f"{row['started_at']:%d %b %H:%M:%S}", "seconds": seconds}.values())


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
