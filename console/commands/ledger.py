"""`answerdeck traces export`, `prune`, `erase`: the ledger out of the house, and kept in bounds."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from console import erasing
from console.commands.reading import Workspace, reading
from console.commands.screen import emit, table, wrong
from console.commands.traces import Json
from pipeline import build
from pipeline.deeds import note
from pipeline.settings import load_settings
from traces import certificate
from traces.certificate import CertificateLine
from traces.export import export_jsonl, export_parquet
from traces.places import CERTIFICATES
from traces.retention import forget_turns, prune_turns
from traces.store import Store

PATIENCE_SECONDS = 60.0  # an export that has written much waits for the drainer rather than begin again


def export(
    out: Annotated[Path, typer.Option(help="A .jsonl file, or a folder for Parquet.")],
    format: Annotated[str, typer.Option(help="jsonl (whole turns) or parquet (a file a table).")] = "jsonl",
    since: Annotated[str | None, typer.Option(help="From this time on, ISO 8601; UTC.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    workspace: Workspace = None,
) -> None:
    """Write the recorded turns to files."""
    if format not in ("jsonl", "parquet"):
        raise wrong(f"--format {format!r} is unknown; it can be jsonl or parquet")
    if format == "parquet" and (since or until):
        raise wrong("--since and --until go with --format jsonl only")
    began, ended = _moment(since), _moment(until)
    build.store(load_settings()).drain()
    out.parent.mkdir(parents=True, exist_ok=True)
    read = partial(reading, workspace, exporting=format == "parquet", patience=PATIENCE_SECONDS)
    if format == "parquet":
        for file in export_parquet(read, out):
            print(file)
    else:
        print(f"{export_jsonl(read, out, since=began, until=ended)} turns in {out}")


def prune(
    days: Annotated[int | None, typer.Option(min=1, help="Default: traces.payload_days.")] = None,
    turn_days: Annotated[
        int | None, typer.Option(min=1, help="Whole turns too; default: traces.turn_days, else kept.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget older prompts, raw responses and passage texts; whole turns where a time is set."""
    settings = load_settings()
    days, turn_days = days or settings.traces.payload_days, turn_days or settings.traces.turn_days
    whole = "" if turn_days is None else f", and whole turns older than {turn_days} days"
    if not yes:
        typer.confirm(f"Forget texts older than {days} days{whole}? This cannot be undone", abort=True)
    store, now = build.store(settings), datetime.now(UTC)
    pruned = prune_turns(store, days, now)
    print(f"Forgot {pruned.payloads} prompts and responses, {pruned.passages} passage texts.")
    note(settings, f"texts older than {days} days forgotten{whole}")
    if turn_days is not None:
        print(f"Forgot {forget_turns(store, turn_days, now)} turns.")


def erase(
    user: Annotated[str | None, typer.Option(help="Whose words to erase everywhere.")] = None,
    verify: Annotated[Path | None, typer.Option(help="Check this certificate (.json) again.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the certificate; default: erasures/.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Erase everything of one user and write a certificate; exit 1 when something is left, named."""
    if (user is None) == (verify is None):
        raise wrong("give --user to erase, or --verify FILE to check a certificate again")
    store = build.store(load_settings())
    if verify is not None:
        _verify(store, verify, json)
        return
    if not yes:
        typer.confirm(f"Erase everything of user {user!r}? This cannot be undone", abort=True)
    _erase(store, user or "", out, json)


def _erase(store: Store, user: str, out: Path | None, json: bool) -> None:
    erasure = erasing.erase(store, user)
    text, page = certificate.save(erasure, out or store.data_dir / CERTIFICATES)
    note(load_settings(), "a person erased, certificate {erasure.digest[:12]}")
    if json:
        emit({**asdict(erasure), "complete": erasure.complete, "certificate": str(text)})
    else:
        rows = ((line.place, line.erased, _remains(line)) for line in erasure.lines)
        title = f"{len(erasure.turn_ids)} turns of {user!r}, evals of them included"
        table(("place", "erased", "left"), rows, title)
        print(f"Certificate: {text}\n             {page}")
    if not erasure.complete:
        raise typer.Exit(1)


def _verify(store: Store, file: Path, json: bool) -> None:
    lines = erasing.verify(store, file)
    if json:
        emit([asdict(line) for line in lines])
    else:
        table(("place", "left"), ((line.place, _remains(line)) for line in lines))
    if any(line.left or line.trouble for line in lines):
        raise typer.Exit(1)


def _remains(line: CertificateLine) -> str:
    return "; ".join([*line.left, *([line.trouble] if line.trouble else [])]) or "nothing"


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise wrong(f"{text!r} is no ISO 8601 time, such as 2026-11-23 or 2026-11-23T08:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
