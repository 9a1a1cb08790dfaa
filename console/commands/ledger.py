"""`answerdeck traces export`, `prune`, `erase`: the ledger out of the house, and kept in bounds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.traces import Json, traces_app

if TYPE_CHECKING:
    from datetime import datetime


@traces_app.command()
def export(
    out: Annotated[Path, typer.Option(help="A .jsonl file, or a folder for Parquet.")],
    format: Annotated[str, typer.Option(help="jsonl (whole turns) or parquet (a file a table).")] = "jsonl",
    since: Annotated[str | None, typer.Option(help="From this time on, ISO 8601; UTC.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
) -> None:
    """Write the recorded turns to files."""
    from console.commands.screen import wrong
    from pipeline.settings import load
    from traces.export import export_jsonl, export_parquet
    from traces.store import Store

    if format not in ("jsonl", "parquet"):
        raise wrong(f"--format {format!r} is unknown; it can be jsonl or parquet")
    if format == "parquet" and (since or until):
        raise wrong("--since and --until go with --format jsonl only")
    began, ended = _moment(since), _moment(until)
    store = Store(load().data_dir)
    store.drain()
    out.parent.mkdir(parents=True, exist_ok=True)
    with store.read(exporting=True) as ledger:
        if format == "parquet":
            for file in export_parquet(ledger, out):
                print(file)
        else:
            print(f"{export_jsonl(ledger, out, since=began, until=ended)} turns in {out}")


@traces_app.command()
def prune(
    days: Annotated[int | None, typer.Option(min=1, help="Default: traces.payload_days.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget prompts, raw responses and passage texts that are older; the turns stay."""
    from datetime import UTC, datetime

    from pipeline.settings import load
    from traces.retention import prune as forget

    settings = load()
    days = days or settings.traces.payload_days
    if not yes:
        typer.confirm(f"Forget the texts of turns older than {days} days? This cannot be undone", abort=True)
    pruned = forget(settings.data_dir, days, datetime.now(UTC))
    print(f"Forgot {pruned.payloads} prompts and responses, {pruned.passages} passage texts.")


@traces_app.command()
def erase(
    user: Annotated[str, typer.Option(help="Whose turns and conversations to erase.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Erase everything of one user: turns, scores, conversations, journal lines."""
    from dataclasses import asdict

    from console.commands.screen import emit
    from pipeline.context.memory import Memory
    from pipeline.guardrails.spending import Spending
    from pipeline.settings import load
    from traces.retention import erase as forget

    settings = load()
    if not yes:
        typer.confirm(f"Erase everything of user {user!r}? This cannot be undone", abort=True)
    memory = Memory(settings.data_dir / "conversations.sqlite")
    remembered = memory.erase(user)
    memory.close()
    spending = Spending(settings.data_dir / "spending.sqlite")
    spending.forget(user)
    spending.close()
    erased = forget(settings.data_dir, user)
    if json:
        emit({"user": user, "conversation_turns": remembered, **asdict(erased)})
        return
    print(
        f"Erased {erased.turns} turns, {erased.scores} scores, {remembered} remembered exchanges of {user!r}."
    )
    for path in erased.left:
        print(f"  {path} was put aside as damaged and may still hold some: delete it by hand.")


def _moment(text: str | None) -> datetime | None:
    from datetime import UTC, datetime

    from console.commands.screen import wrong

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise wrong(f"{text!r} is no ISO 8601 time, such as 2026-11-23 or 2026-11-23T08:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
