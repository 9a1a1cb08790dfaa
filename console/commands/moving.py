"""`answerdeck traces move`: the ledger from one engine to another."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from console.commands.screen import emit, table, wrong
from console.commands.traces import Json
from pipeline.settings import Settings, load_settings
from traces import engines, moving
from traces.engine import EMBEDDED
from traces.store import Store

CONFIGURED = "configured"


def move(
    source: Annotated[
        str, typer.Option("--from", help='"embedded" or postgresql://user@host/database.')
    ] = EMBEDDED,
    target: Annotated[
        str, typer.Option("--to", help='The same; "configured" is what ANSWERDECK_LEDGER says.')
    ] = CONFIGURED,
    json: Json = False,
) -> None:
    """Carry the ledger to another engine, proved by counts and sums; nothing moves unless all agree.

    The source stays as it is. Stop `up` first: nobody may drain meanwhile.
    """
    settings = load_settings()
    stores = [_store(settings, option, address) for option, address in (("--from", source), ("--to", target))]
    if stores[0].engine.name == stores[1].engine.name:
        raise wrong(f"--from and --to are both {stores[0].engine.name}; there is nothing to move")
    done = moving.move(*stores)
    if json:
        emit([asdict(moved) for moved in done])
        return
    rows = ((moved.table, moved.rows, moved.figures) for moved in done)
    table(("table", "rows", "figures that agree"), rows, f"{stores[0].engine.name} → {stores[1].engine.name}")
    print("Set ANSWERDECK_LEDGER to the new address now; the old ledger is left as it was.")


def _store(settings: Settings, option: str, address: str) -> Store:
    """Return the store at an address; raises what ends the command with one sentence."""
    if address == CONFIGURED:
        address = settings.ledger.get_secret_value()
    if (problem := engines.wrong(address)) is not None:
        raise wrong(f"{option}: {problem}")
    return Store(settings.data_dir, address)
