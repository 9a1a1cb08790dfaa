"""Which real turns a replay asks again, and what was said before each of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from traces.queries.window import Rows
from traces.records import PRODUCTION


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """A question of a conversation and, once it was answered, the answer."""

    turn_id: str
    conversation_id: str
    started_at: datetime
    question: str
    answer: str | None = None


def exchanges(ledger: Rows, kb: str, since: datetime, until: datetime) -> list[RecordedExchange]:
    """Which turns did people ask of a knowledge base, oldest first? Without their answers.

    Turns turned away before the pipeline saw them (limits, a closed window) have nothing to replay.
    """
    rows = ledger.rows(
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
    return [RecordedExchange(**row) for row in rows]


def conversations(ledger: Rows, conversation_ids: list[str]) -> dict[str, list[RecordedExchange]]:
    """What was said in these conversations, oldest first?"""
    rows = ledger.rows(
        """
        select conversation_id, turn_id, started_at, question, answer from turns
        where conversation_id = any($ids) and door = any($doors) order by started_at, turn_id
        """,
        ids=conversation_ids,
        doors=list(PRODUCTION),
    )
    by_conversation: dict[str, list[RecordedExchange]] = {}
    for row in rows:
        exchange = RecordedExchange(**row)
        by_conversation.setdefault(exchange.conversation_id, []).append(exchange)
    return by_conversation
