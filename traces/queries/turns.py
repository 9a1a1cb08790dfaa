"""Questions about single turns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from traces.ledger import Ledger
from traces.records import Passage, Payload, Score, Span, Trace, Turn, Usage

R = TypeVar("R", Payload, Span, Passage, Usage, Score)


def trace(ledger: Ledger, turn_id: str) -> Trace | None:
    """Return all that was recorded of a turn, with the scores now in force; None when unknown."""
    return next(iter(traces(ledger, [turn_id])), None)


def traces(ledger: Ledger, turn_ids: Sequence[str]) -> list[Trace]:
    """Return the traces of the turns that exist, oldest turn first."""
    ids = list(turn_ids)
    turns = ledger.rows("select * from turns where turn_id = any($ids) order by started_at, turn_id", ids=ids)
    payloads = _by_turn(Payload, ledger.rows("select * from payloads where turn_id = any($ids)", ids=ids))
    spans = _by_turn(
        Span, ledger.rows("select * from spans where turn_id = any($ids) order by span_id", ids=ids)
    )
    passages = _by_turn(
        Passage, ledger.rows("select * from passages where turn_id = any($ids) order by rank", ids=ids)
    )
    usages = _by_turn(
        Usage, ledger.rows("select * from usages where turn_id = any($ids) order by call", ids=ids)
    )
    scores = _by_turn(
        Score,
        ledger.rows("select * from scores where turn_id = any($ids) order by created_at, score_id", ids=ids),
    )
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


def _by_turn(record: type[R], rows: Iterable[dict[str, Any]]) -> dict[str, list[R]]:
    groups: dict[str, list[R]] = {}
    for row in rows:
        groups.setdefault(row["turn_id"], []).append(record(**row))
    return groups
