"""What people asked and where they left: the questions of a window, and conversations by their last turn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from traces.queries.window import Rows, Window

QUIET = timedelta(minutes=30)  # a conversation without a turn for so long is over


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what became of it; `rating` is the worst anybody gave, None without one."""

    turn_id: str
    conversation_id: str
    started_at: datetime
    question: str
    outcome: str
    cost_usd: float | None
    rating: float | None
    last: bool  # nothing was asked after it in its conversation, which is over


def questions(ledger: Rows, window: Window, limit: int = 5_000) -> list[Asked]:
    """What was asked in a window, the newest first? Follow-ups as they stand alone, 500 characters each."""
    rows = ledger.rows(
        """
        with newest as (
            select turn_id, conversation_id, started_at, outcome, cost_usd,
                   substr(coalesce(standalone, question), 1, 500) as question
            from turns
            where started_at >= $since and started_at < $until and door = any($doors)
            order by started_at desc, turn_id desc limit $limit
        ), thumbs as (
            select turn_id, min(value) as rating from scores
            where name = 'feedback' and value is not null group by turn_id
        ), placed as (
            select *, row_number() over (
                partition by conversation_id order by started_at desc, turn_id desc) as from_end
            from newest
        )
        select placed.turn_id, conversation_id, started_at, question, outcome, cost_usd, rating,
               from_end = 1 and started_at < $quiet as last
        from placed left join thumbs on thumbs.turn_id = placed.turn_id
        order by started_at desc, placed.turn_id desc
        """,
        limit=limit,
        quiet=window.until - QUIET,
        **window.bound,
    )
    return [Asked(**row) for row in rows]


@dataclass(frozen=True, slots=True)
class Leaving:
    """How many conversations reached a turn and ended there, and how many of these without an answer."""

    turn: int
    reached: int
    ended: int
    unhappy: int


def leaving(ledger: Rows, window: Window, most: int = 12) -> list[Leaving]:
    """After which turn do people leave: how many conversations reached each turn, and ended there?

    Only conversations that began in the window and are over. `unhappy` of those that ended there did so
    without an answer. The last row is of all later turns together.
    """
    rows = ledger.rows(
        """
        with whole as (
            select turns, outcome from conversations
            where began >= $since and began < $until and door = any($doors) and ended < $quiet
        ), places as (
            select * from generate_series(1, cast($most as bigint)) as one(turn)
        )
        select turn,
               count(*) filter (where turns >= turn) as reached,
               count(*) filter (where turns = turn or (turn = $most and turns > turn)) as ended,
               count(*) filter (where (turns = turn or (turn = $most and turns > turn))
                                      and outcome <> 'answered') as unhappy
        from places, whole
        group by turn having count(*) filter (where turns >= turn) > 0
        order by turn
        """,
        most=most,
        quiet=window.until - QUIET,
        **window.bound,
    )
    return [Leaving(**row) for row in rows]
