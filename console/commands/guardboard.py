"""`answerdeck eval run guardrails`: the scoreboard of the guards."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from console.commands.screen import emit, failed, table
from evalsets.runs.guardboard import measure
from pipeline.build import store
from pipeline.guards import guards
from pipeline.settings import load
from traces.errors import StoreError
from traces.queries.refusals import overrides
from traces.store import Store


def show(*, json: bool) -> None:
    """Measure the guards in force and print the scoreboard; exit code 1 when a bound is broken."""
    settings = load()
    looks = guards(settings)
    inbound, planted = looks.inbound, looks.planted
    board = asyncio.run(measure(inbound, planted))
    live = _live(store(settings))
    if json:
        emit({**board.to_dict(), "live": live})
    else:
        heads = ("category", "what", "flagged", "of", "share", "95 % from", "to")
        rows = [tuple(asdict(row).values()) for row in board.rows]
        order = ((a, b, f, n, f"{s:.3f}", f"{lo:.3f}", f"{hi:.3f}") for a, b, n, f, s, lo, hi in rows)
        table(heads, order, title="The guards on our own set")
        print(
            f"{board.question_microseconds:.0f} µs a question (embedding included), "
            f"{board.passage_microseconds:.0f} µs a passage (medians)."
        )
        rate = live["override_rate"]
        verdict = "nothing was refused yet" if rate is None else f"{rate:.1%} of {live['refused']} refusals"
        print(f"Live override rate (refusals with a thumb down): {verdict}, {live['turns']} turns.")
    if board.worse:
        raise failed("worse than the recorded bounds: " + "; ".join(board.worse))


def _live(traces: Store) -> dict[str, Any]:
    try:
        with traces.read() as ledger:
            return overrides(ledger)
    except StoreError as error:
        return {"turns": None, "refused": None, "contested": None, "override_rate": None, "error": str(error)}
