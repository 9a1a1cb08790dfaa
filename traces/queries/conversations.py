"""Conversations: which there were, what came of each, and all that was said in one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from traces.queries import listing, rolled
from traces.queries.asked import QUIET
from traces.queries.filter import Filter
from traces.queries.hours import last_hour
from traces.queries.listing import WordIndexed
from traces.queries.window import Rows, Window

_CHOSEN = """
    with chosen as (
        select conversation_id, user_id, turns, began, ended, first_id, outcome,
               cast(cost_usd as double precision) as cost_usd, unpriced, answered, ended < $quiet as over,
               rating
        from conversations
        where ended >= $since and began < $until and door = any($doors)
          and (cast($user_id as text) is null or user_id = $user_id)
          and (cast($ending as text) is null or outcome = $ending)
          and (not $unhappy or (ended < $quiet and outcome <> 'answered') or rating <= 0)
"""
_PAGE = """
    select * from chosen
    where ended >= $from and (cast($after as timestamptz) is null or ended < $after
                              or (ended = $after and conversation_id > $after_id))
    order by ended desc, conversation_id limit $limit offset $offset
"""
# the hours that hold so many of those that ended last
_ENDED_SINCE = """
    select min(hour) as since from (
        select hour, sum(sum(ended)) over (order by hour desc) - sum(ended) as newer from hourly_talks
        where hour >= $since and hour < $until and door = any($doors) group by hour
    ) as counted where newer < $most
"""
_FIRST = """
    select turn_id, substr(question, 1, 240) as question from turns
    where started_at >= $since and started_at <= $until and turn_id in (select unnest(cast($ids as text[])))
"""
_COUNT = " select count(*) as conversations from chosen"


@dataclass(frozen=True, slots=True)
class Which:
    """Which conversations to list: by their user, last outcome, words, or how they went."""

    window: Window
    user_id: str | None = None
    ending: str | None = None  # the outcome of the last turn
    text: str | None = None
    unhappy: bool = False  # ended without an answer, or thumbed down

    @property
    def plain(self) -> bool:
        """Whether nothing but the window chooses."""
        return not (self.user_id or self.ending or self.text or self.unhappy)

    @property
    def bound(self) -> dict[str, Any]:
        return {
            **self.window.bound,
            "user_id": self.user_id,
            "ending": self.ending,
            "unhappy": self.unhappy,
            "quiet": self.window.until - QUIET,
        }


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation in a list; `outcome` is that of its last turn, `cost_usd` of its priced turns."""

    conversation_id: str
    user_id: str
    turns: int
    began: datetime
    ended: datetime
    outcome: str
    cost_usd: float | None
    unpriced: int
    answered: int
    over: bool
    rating: float | None
    question: str  # the first, cut to 240 characters


@dataclass(frozen=True, slots=True)
class Said:
    """A turn as the user saw it."""

    turn_id: str
    started_at: datetime
    question: str
    answer: str | None
    outcome: str
    error_class: str | None
    model: str | None
    seconds: float | None
    cost_usd: float | None
    attempts: int | None
    rating: float | None


def _chosen(ledger: WordIndexed, which: Which) -> tuple[str, dict[str, Any]]:
    """Return the beginning of a query for the conversations that match, and what it binds."""
    if which.text is None:
        return f"{_CHOSEN})", which.bound
    turns = Filter(which.window.since, which.window.until, which.window.doors, text=which.text)
    return f"{_CHOSEN} and conversation_id = any($ids))", {
        **which.bound,
        "ids": sorted(listing.conversations(ledger, turns)),
    }


def page(
    ledger: WordIndexed, which: Which, limit: int, offset: int, after: tuple[datetime, str] | None = None
) -> list[Conversation]:
    """Which conversations match, the one that ended last first? They go on `after` the end and id of one."""
    sql, bound = _chosen(ledger, which)
    rows = ledger.rows(
        sql + _PAGE,
        limit=limit,
        offset=offset,
        after=after and after[0],
        after_id=after and after[1],
        **{"from": _from(ledger, which.window, offset + limit, after) if which.plain else which.window.since},
        **bound,
    )
    if not rows:
        return []
    began = [row["began"] for row in rows]
    ids = [row["first_id"] for row in rows]
    first = ledger.rows(_FIRST, since=min(began), until=max(began), ids=ids)
    questions = {row["turn_id"]: row["question"] for row in first}
    return [Conversation(question=questions.get(row.pop("first_id"), ""), **row) for row in rows]


def _from(ledger: Rows, window: Window, most: int, after: tuple[datetime, str] | None) -> datetime:
    """Return since when so many conversations of a window ended, whichever of an hour go before `after`."""
    bound = window.hours.bound
    if after:
        bound["until"] = last_hour(after[0])
    return ledger.rows(_ENDED_SINCE, most=most, **bound)[0]["since"] or window.since


def count(ledger: WordIndexed, which: Which) -> int:
    """How many conversations match?"""
    if which.plain and which.window.long:
        return rolled.conversations(ledger, which.window.hours)
    sql, bound = _chosen(ledger, which)
    [row] = ledger.rows(sql + _COUNT, **bound)
    return row["conversations"]


def talk(ledger: Rows, conversation_id: str, limit: int = 200) -> list[Said]:
    """What was said in a conversation, oldest first?"""
    rows = ledger.rows(
        """
        with thumbs as (
            select turn_id, min(value) as rating from scores
            where name = 'feedback' and value is not null and turn_id in (
                select turn_id from turns where conversation_id = $conversation_id)
            group by turn_id
        )
        select turns.turn_id, started_at, question, answer, outcome, error_class, model, seconds, cost_usd,
               attempts, rating
        from turns left join thumbs on thumbs.turn_id = turns.turn_id
        where conversation_id = $conversation_id
        order by started_at, turns.turn_id limit $limit
        """,
        conversation_id=conversation_id,
        limit=limit,
    )
    return [Said(**row) for row in rows]
