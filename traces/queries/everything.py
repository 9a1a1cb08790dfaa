"""Lists to the last row, in pieces; the store is let go between two, so a slow reader holds nobody up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from traces.ledger import Ledger
from traces.queries import conversations, listing
from traces.queries.conversations import Which
from traces.queries.filter import Filter

Read = Callable[[], AbstractContextManager[Ledger]]
Piece = list[dict[str, Any]]
PIECE = 5_000  # rows
_AFTER = " and (started_at < $after or (started_at = $after and turn_id < $after_id))"
_WHOLE = """
    select turn_id, started_at, door, user_id, conversation_id, question, answer, outcome, error_class,
           model, prompt, first_token_seconds, seconds, cost_usd, attempts, input_tokens, output_tokens, hit
    from turns
    where turn_id in (select unnest(cast($ids as text[])))
    order by started_at desc, turn_id desc
"""


def turns(read: Read, which: Filter, size: int = PIECE) -> Iterator[Piece]:
    """Yield every turn that matches, newest first, whole texts included."""
    after: tuple[datetime, str] | None = None
    while True:
        with read() as ledger:
            rows = _turns(ledger, which, after, size)
        yield rows
        if len(rows) < size:
            return
        after = (rows[-1]["started_at"], rows[-1]["turn_id"])


def _turns(ledger: Ledger, which: Filter, after: tuple[datetime, str] | None, size: int) -> Piece:
    if after is not None:  # words are looked for anew from here on: an index names a part of them at a time
        which = replace(which, until=min(which.until, after[0] + timedelta(microseconds=1)))
    sql, bound = listing.matching(ledger, which)
    if after is not None:
        sql, bound = sql + _AFTER, {**bound, "after": after[0], "after_id": after[1]}
    picked = ledger.rows(f"{sql}{listing.IN_ORDER} limit $limit", limit=size, **bound)
    if not picked:
        return []
    rows = ledger.rows(_WHOLE, ids=[row["turn_id"] for row in picked])
    rating = listing.ratings(ledger, [row["turn_id"] for row in rows])
    return [{**row, "rating": rating.get(row["turn_id"])} for row in rows]


def talks(read: Read, which: Which, size: int = PIECE) -> Iterator[Piece]:
    """Yield every conversation that matches, the one that ended last first."""
    after: tuple[datetime, str] | None = None
    while True:
        with read() as ledger:
            rows = conversations.page(ledger, which, size, 0, after)
        yield [asdict(row) for row in rows]
        if len(rows) < size:
            return
        after = (rows[-1].ended, rows[-1].conversation_id)
