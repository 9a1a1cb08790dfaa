"""`answerdeck eval run guardrails`: the scoreboard of the guards."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from console.commands.screen import emit, failed, table
from evalsets.runs.guardboard import measure
from pipeline.build import store
from pipeline.settings import load_settings
from pipeline.steps.guards import guards
from traces.errors import StoreError
from traces.queries.refusals import Overrides, overrides
from traces.store import Store

_UNKNOWN = dict.fromkeys(("turns", "refused", "contested", "override_rate"))


def show(*, json: bool) -> None:
    """Measure the guards in force and print the scoreboard; exit code 1 when a bound is broken."""
    settings = load_settings()
    looks = guards(settings)
    inbound, planted = looks.inbound, looks.planted
    board = asyncio.run(measure(inbound, planted))
    live, trouble = _live(store(settings))
    if json:
        emit({**board.to_dict(), "live": asdict(live) if live else {**_UNKNOWN, "error": trouble}})
    else:
        heads = ("category", "what", "flagged", "of", "share", "95 % from", "to")
        rows = [tuple(asdict(row).values()) for row in board.rows]
        order = ((a, b, f, n, f"{s:.3f}", f"{lo:.3f}", f"{hi:.3f}") for a, b, n, f, s, lo, hi in rows)
        table(heads, order, title="The guards on our own set")
        print(
            f"{board.question_microseconds:.0f} µs a question (embedding included), "
            f"{board.passage_microseconds:.0f} µs a passage (medians)."
        )
        print(_sentence(live))
    if board.worse:
        raise failed("worse than the recorded bounds: " + "; ".join(board.worse))


def _sentence(live: Overrides | None) -> str:
    rate = live and live.override_rate
    share = (
        f"{rate:.1%} of {live.refused} refusals" if live and rate is not None else "nothing was refused yet"
    )
    turns = live.turns if live else None
    return f"Live override rate (refusals with a thumb down): {share}, {turns} turns."


def _live(traces: Store) -> tuple[Overrides | None, str]:
    """Return what people contested, or why nobody can say."""
    try:
        with traces.read() as ledger:
            return overrides(ledger), ""
    except StoreError as error:
        return None, str(error)
