"""Questions about single turns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from traces.ledger import Ledger
from traces.records import SPOKEN, Passage, Payload, Score, Span, Trace, Turn, Usage

# ids sort by time: between two of them lies little to look at
_OF = """
    select * from {table} where turn_id >= $first and turn_id <= $last and turn_id = any($ids)
    order by {order}
"""
_OF_ONE = "select * from {table} where turn_id = $id order by {order}"
_WHOSE = """
    select turn_id from turns where turn_id = $id and coalesce(workspace, 'default') = $workspace
"""
R = TypeVar("R", Payload, Span, Passage, Usage, Score)


def trace(ledger: Ledger, turn_id: str, workspace: str | None = None) -> Trace | None:
    """Return all that was recorded of a turn, with the scores now in force; None when unknown.

    With a workspace, another's turn is unknown.
    """
    if workspace is not None and not ledger.rows(_WHOSE, id=turn_id, workspace=workspace):
        return None
    return next(iter(traces(ledger, [turn_id])), None)


def traces(ledger: Ledger, turn_ids: Sequence[str]) -> list[Trace]:
    """Return the traces of the turns that exist, oldest turn first."""
    if not turn_ids:
        return []
    bound: dict[str, Any] = {"ids": list(turn_ids), "first": min(turn_ids), "last": max(turn_ids)}
    text = _OF
    if len(turn_ids) == 1:  # planned in half the time
        text, bound = _OF_ONE, {"id": turn_ids[0]}

    def of(table: str, order: str) -> list[dict[str, Any]]:
        return ledger.rows(text.replace("{table}", table).replace("{order}", order), **bound)

    turns = of("turns", "started_at, turn_id")
    payloads = _by_turn(Payload, of("payloads", "turn_id"))
    spans = _by_turn(Span, of("spans", "span_id"))
    passages = _by_turn(Passage, of("passages", "rank"))
    usages = _by_turn(Usage, of("usages", "call"))
    scores = _by_turn(Score, _in_force(of("score_history", "created_at, score_id")))
    return [
        Trace(
            turn=Turn(**row),
            payload=next(iter(payloads.get(key, ())), Payload(key)),
            spans=tuple(spans.get(key, ())),
            passages=tuple(passages.get(key, ())),
            usages=tuple(usages.get(key, ())),
            scores=tuple(scores.get(key, ())),
        )
        for row in turns
        for key in (row["turn_id"],)
    ]


def _in_force(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return of all scores, in order of time, those of the view `scores`: of what a person said the last."""
    last = {_said(row): row["score_id"] for row in rows if row["source"] in SPOKEN}
    return [row for row in rows if row["source"] not in SPOKEN or last[_said(row)] == row["score_id"]]


def _said(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["turn_id"], row["name"], row["source"], row["user_id"]


def _by_turn(record: type[R], rows: Iterable[dict[str, Any]]) -> dict[str, list[R]]:
    groups: dict[str, list[R]] = {}
    for row in rows:
        groups.setdefault(row["turn_id"], []).append(record(**row))
    return groups
