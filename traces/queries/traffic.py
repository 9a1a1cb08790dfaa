"""Which real turns a replay asks again, and what was said before each of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from traces.queries.window import Rows
from traces.records import PRODUCTION


def asked(ledger: Rows, kb: str, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """Which turns did people ask of a knowledge base, oldest first?

    Turns turned away before the pipeline saw them (limits, a closed window) have nothing to replay.
    """
    return ledger.rows(
        """
        select turn_id, conversation_id, started_at, question from turns
        where started_at >= $since and started_at < $until and door = any($doors)
          and (kb is null or kb = $kb)
          and outcome <> 'abandoned' and coalesce(error_class, '') <> 'shed'
        order by started_at, turn_id
        """,
        since=since,
        until=until,
        doors=list(PRODUCTION),
        kb=kb,
    )


def conversations(ledger: Rows, conversation_ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """What was said in these conversations, oldest first?"""
    rows = ledger.rows(
        """
        select conversation_id, turn_id, started_at, question, answer from turns
        where conversation_id = any($ids) and door = any($doors) order by started_at, turn_id
        """,
        ids=conversation_ids,
        doors=list(PRODUCTION),
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["conversation_id"], []).append(row)
    return found
