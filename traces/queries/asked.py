"""What people asked and where they left: the questions of a window, and conversations by their last turn."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from traces.queries.hours import first_hour, last_hour
from traces.queries.listing import ratings
from traces.queries.window import Rows, Window
from traces.rollups import MOST_TURNS

QUIET = timedelta(minutes=30)  # a conversation without a turn for so long is over


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question and what became of it; `rating` is the worst anybody gave, None without one."""

    turn_id: str
    conversation_id: str
    started_at: datetime
    question: str
    outcome: str
    cost_usd: float | None
    rating: float | None
    last: bool  # nothing was asked after it in its conversation, which is over


@dataclass(frozen=True, slots=True)
class QuestionPlace:
    """Where a turn was asked; the question as it stands alone."""

    turn_id: str
    question: str
    kb: str | None  # None before one was chosen
    workspace: str


def sorted_ones(ledger: Rows, since: datetime, until: datetime, most: int) -> list[tuple[int, str]]:
    """Which are the newest questions that have a topic, as they stand alone, each with it?"""
    rows = ledger.rows(
        """
        select topic, substr(coalesce(turns.standalone, turns.question), 1, 500) as question
        from asked join turns on turns.turn_id = asked.turn_id
        where asked.started_at >= $since and asked.started_at < $until and topic is not null
        order by asked.started_at desc, asked.turn_id desc limit $most
        """,
        since=since,
        until=until,
        most=most,
    )
    return [(row["topic"], row["question"]) for row in rows]


_NEW = "and turn_id not in (select turn_id from asked where started_at >= $since and started_at < $until)"


def questions(
    ledger: Rows, window: Window, limit: int = 5_000, *, unsorted: bool = False, ids: Collection[str] = ()
) -> list[AskedQuestion]:
    """What was asked in a window, the newest first? Follow-ups as they stand alone, 500 characters each.

    With `unsorted`, only what has no topic yet; with `ids`, only these turns.
    """
    begin = window.since if unsorted or ids else _since(ledger, window, limit)
    only = _NEW if unsorted else "and turn_id = any($ids)" if ids else ""
    rows = ledger.rows(
        # constants
        f"""
        with newest as (
            select turn_id, conversation_id, started_at, outcome, cost_usd,
                   substr(coalesce(standalone, question), 1, 500) as question
            from turns
            where started_at >= $since and started_at < $until and door = any($doors) {only}
            order by started_at desc, turn_id desc limit $limit
        ), placed as (
            select *, row_number() over (
                partition by conversation_id order by started_at desc, turn_id desc) as from_end
            from newest
        )
        select turn_id, conversation_id, started_at, question, outcome, cost_usd,
               from_end = 1 and started_at < $quiet as last
        from placed order by started_at desc, turn_id desc
        """,  # noqa: S608
        limit=limit,
        quiet=window.until - QUIET,
        **({"ids": list(ids)} if ids else {}),
        **replace(window, since=begin).bound,
    )
    # of these turns alone: thumbs know no time, and PostgreSQL would look at all of the window
    rating = ratings(ledger, [row["turn_id"] for row in rows])
    return [AskedQuestion(**row, rating=rating.get(row["turn_id"])) for row in rows]


def places(ledger: Rows, ids: Sequence[str]) -> dict[str, QuestionPlace]:
    """Where were these turns asked?"""
    rows = ledger.rows(
        """
        select turn_id, coalesce(standalone, question) as question, kb,
               coalesce(workspace, 'default') as workspace
        from turns where turn_id in (select unnest(cast($ids as text[])))
        """,
        ids=list(ids),
    )
    return {row["turn_id"]: QuestionPlace(**row) for row in rows}


def _since(ledger: Rows, window: Window, limit: int) -> datetime:
    """Return a time since which a window has so many turns, or its begin: no older turn is looked at."""
    if not window.long:
        return window.since
    [row] = ledger.rows(
        """
        select min(hour) as since from (
            select hour, sum(sum(turns)) over (order by hour desc) - sum(turns) as newer from hourly
            where hour >= $since and hour < $until and door = any($doors) group by hour
        ) as counted where newer < $limit
        """,
        limit=limit,
        **window.hours.bound,
    )
    return max(row["since"] or window.since, window.since)


@dataclass(frozen=True, slots=True)
class Leaving:
    """How many conversations reached a turn and ended there, and how many of these without an answer."""

    turn: int
    reached: int
    ended: int
    unhappy: int


_HOURS = """
    select turn, ended, unhappy from hourly_left
    where hour >= $first and hour < $last and door in (select unnest(cast($doors as text[])))
"""
_TALKS = """
    select least(turns, {most}) as turn, {sign}1 as ended,
           {sign}case when outcome <> 'answered' then 1 else 0 end as unhappy
    from conversations
    where began >= ${since} and began < ${until} and {over}
      and door in (select unnest(cast($doors as text[])))
"""


def leaving(ledger: Rows, window: Window) -> list[Leaving]:
    """After which turn do people leave: how many conversations reached each turn, and ended there?

    Only conversations that began in the window and are over. `unhappy` of those that ended there did so
    without an answer. The last row is of all later turns together.
    """
    source, edges = _left(window)
    rows = ledger.rows(
        # constants
        f"""
        select turn, cast(sum(ended) as bigint) as ended, cast(sum(unhappy) as bigint) as unhappy
        from ({source}) as parts group by turn having sum(ended) > 0
        """,  # noqa: S608
        doors=list(window.doors),
        **edges,
    )
    left: dict[int, dict[str, int]] = {row["turn"]: row for row in rows}
    none = {"ended": 0, "unhappy": 0}
    reached = sum(row["ended"] for row in rows)
    result: list[Leaving] = []
    for turn in range(1, max(left, default=0) + 1):
        last = left.get(turn, none)
        result.append(Leaving(turn, reached, last["ended"], last["unhappy"]))
        reached -= last["ended"]
    return result


def _left(window: Window) -> tuple[str, dict[str, datetime]]:
    """Return what to add up, and what that binds: hours, less what goes on, and cut ones."""
    first, last, quiet = first_hour(window.since), last_hour(window.until), window.until - QUIET
    edges = {"since": window.since, "until": window.until, "quiet": quiet}
    if not first < last:
        part = _TALKS.format(most=MOST_TURNS, sign="", since="since", until="until", over="ended < $quiet")
        return part, edges
    over, on = {"sign": "", "over": "ended < $quiet"}, {"sign": "-", "over": "ended >= $quiet"}
    parts = [_HOURS, _TALKS.format(most=MOST_TURNS, since="first", until="last", **on)]
    if window.since < first:
        parts.append(_TALKS.format(most=MOST_TURNS, since="since", until="first", **over))
    if last < window.until:
        parts.append(_TALKS.format(most=MOST_TURNS, since="last", until="until", **over))
    bound = {"first": first, "last": last, "quiet": quiet}
    bound |= {"since": window.since} if window.since < first else {}
    bound |= {"until": window.until} if last < window.until else {}
    return " union all ".join(parts), bound
