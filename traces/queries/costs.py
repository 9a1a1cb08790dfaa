"""What the Costs page and the forecast ask of the ledger: who spent what, on which model, and for what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from traces.queries import rolled
from traces.queries.window import Rows, Window
from traces.records import PRODUCTION


@dataclass(frozen=True, slots=True)
class DayCost:
    """What a model cost on a day (UTC); `unpriced` counts turns without a known price."""

    day: date
    model: str
    cost_usd: float | None
    turns: int
    unpriced: int
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None


@dataclass(frozen=True, slots=True)
class UserCost:
    """What a user spent."""

    user_id: str
    cost_usd: float | None
    turns: int
    conversations: int
    unpriced: int


@dataclass(frozen=True, slots=True)
class ResolvedCost:
    """How many turns were resolved, and what all turns cost."""

    turns: int
    conversations: int
    cost_usd: float | None
    unpriced: int
    resolved: int


@dataclass(frozen=True, slots=True)
class RouteCost:
    """The turns of a route; None is without one."""

    route: str | None
    turns: int
    cost_usd: float | None
    stopped: int  # by a budget


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of a turn for one purpose; a turn without calls has no purpose."""

    conversation_id: str
    turn_id: str
    purpose: str | None = None
    input_tokens: int | None = None  # of the largest, as the other tokens
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cost_usd: float | None = None  # of all
    unpriced: int = 0
    estimated: int = 0


@dataclass(frozen=True, slots=True)
class AverageTurn:
    """What a turn that called a provider took on average; None without such turns."""

    turns: int
    calls: float | None
    tokens: float | None


_DAILY = """
    select user_id, cost_usd, turns, conversations, unpriced from daily_users
    where crowd = 'people' and day >= $first_day and day < $last_day
"""
_TALKED = """
    select user_id, cost_usd, turns, 1 as conversations, unpriced from conversations
    where began >= ${} and began < ${} and door = any($doors)
"""


def by_day(ledger: Rows, window: Window) -> list[DayCost]:
    """What did each model cost on each day (UTC), with which tokens, and how many turns are unpriced?"""
    rows = ledger.rows(
        """
        select cast(date_trunc('day', hour at time zone 'UTC') as date) as day, model,
               cast(sum(cost_usd) as double precision) as cost_usd,
               cast(sum(turns) as bigint) as turns,
               cast(sum(unpriced) as bigint) as unpriced,
               cast(sum(input_tokens) as bigint) as input_tokens,
               cast(sum(output_tokens) as bigint) as output_tokens,
               cast(sum(cache_read_tokens) as bigint) as cache_read_tokens,
               cast(sum(cache_write_tokens) as bigint) as cache_write_tokens
        from hourly_models
        where hour >= $since and hour < $until and door = any($doors)
        group by 1, 2
        order by 1, 2
        """,
        **window.hours.bound,
    )
    return [DayCost(**row) for row in rows]


def users(ledger: Rows, window: Window, limit: int = 10) -> list[UserCost]:
    """Who spent most, with how many turns and conversations, of those that began in the window?"""
    days = rolled.closed_days(ledger, window) if set(window.doors) == set(PRODUCTION) else None
    if days is None or days[0] != window.since:
        source, edges = _TALKED.format("since", "until"), {"since": window.since, "until": window.until}
    else:
        source = f"{_DAILY} union all {_TALKED.format('last_day', 'until')}"
        edges = {"first_day": days[0], "last_day": days[1], "until": window.until}
    rows = ledger.rows(
        # constants
        f"""
        select user_id, cast(sum(cost_usd) as double precision) as cost_usd,
               cast(sum(turns) as bigint) as turns, cast(sum(conversations) as bigint) as conversations,
               cast(sum(unpriced) as bigint) as unpriced
        from ({source}) as spent
        group by user_id
        order by coalesce(sum(cost_usd), 0) desc, turns desc, user_id
        limit $limit
        """,  # noqa: S608
        limit=limit,
        doors=list(window.doors),
        **edges,
    )
    return [UserCost(**row) for row in rows]


def last_days(now: datetime, days: int, doors: tuple[str, ...] = PRODUCTION) -> Window:
    """Return the window of the last whole days (UTC) up to now, today included: the same on every page."""
    first = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    return Window(first, now, doors)


def resolved(ledger: Rows, window: Window) -> ResolvedCost:
    """What did a resolved answer cost: one that answered, is grounded, and got no thumb down?

    All turns' known costs count, those of the unresolved ones too.
    """
    rows = _by_route(ledger, window)
    prices = [row["cost_usd"] for row in rows if row["cost_usd"] is not None]
    return ResolvedCost(
        turns=sum(row["turns"] for row in rows),
        conversations=rolled.conversations(ledger, window.hours),
        cost_usd=sum(prices) if prices else None,
        unpriced=sum(row["unpriced"] for row in rows),
        resolved=sum(row["resolved"] for row in rows),
    )


def routes(ledger: Rows, window: Window) -> list[RouteCost]:
    """How many turns took each route, and what did they cost?"""
    result: list[RouteCost] = []
    for row in _by_route(ledger, window):
        if row["route"] in ("cheap", "strong"):
            result.append(RouteCost(row["route"], row["turns"], row["cost_usd"], row["stopped"]))
        elif row["stopped"]:
            result.append(RouteCost(row["route"], row["stopped"], None, row["stopped"]))
    return sorted(result, key=lambda route: -route.turns)


def _by_route(ledger: Rows, window: Window) -> list[dict[str, Any]]:
    """Add up the turns of each route; asked once for all that a page says of them."""
    source, bound = rolled.sums(ledger, window.hours, "route, turns, cost_usd, unpriced, resolved, stopped")
    return ledger.rows(
        # constants
        f"""
        select route, cast(sum(turns) as bigint) as turns,
               cast(sum(cost_usd) as double precision) as cost_usd,
               cast(sum(unpriced) as bigint) as unpriced,
               cast(sum(resolved) as bigint) as resolved,
               cast(sum(stopped) as bigint) as stopped
        from {source} group by route order by turns desc, route
        """,  # noqa: S608
        **bound,
    )


def calls(ledger: Rows, window: Window, conversations: int = 5000) -> list[Calls]:
    """Which calls did the newest conversations make: one row a turn and purpose, its largest call?"""
    rows = ledger.rows(
        """
        with newest as (
            select conversation_id, max(started_at) as ended_at
            from turns
            where started_at >= $since and started_at < $until and door = any($doors)
            group by conversation_id
            order by ended_at desc
            limit $conversations
        )
        select turns.conversation_id as conversation_id, turns.turn_id as turn_id, usages.purpose as purpose,
               max(usages.input_tokens) as input_tokens, max(usages.output_tokens) as output_tokens,
               max(usages.cache_read_tokens) as cache_read_tokens,
               max(usages.cache_write_tokens) as cache_write_tokens,
               sum(usages.cost_usd) as cost_usd,
               count(*) filter (where usages.cost_usd is null) as unpriced,
               count(*) filter (where usages.estimated) as estimated
        from turns
        join newest on newest.conversation_id = turns.conversation_id
        left join usages on usages.turn_id = turns.turn_id
        where turns.started_at >= $since and turns.started_at < $until and turns.door = any($doors)
        group by 1, 2, 3
        """,
        conversations=conversations,
        **window.bound,
    )
    return [Calls(**row) for row in rows]


def per_turn(ledger: Rows, window: Window) -> AverageTurn:
    """How many calls and tokens did a turn that called a provider take on average?"""
    rows = ledger.rows(
        """
        select count(*) as turns,
               avg(attempts) as calls,
               avg(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) as tokens
        from turns
        where started_at >= $since and started_at < $until and door = any($doors)
          and attempts > 0 and model <> 'extractive'
        """,
        **window.bound,
    )
    return AverageTurn(**rows[0])
