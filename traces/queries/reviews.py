"""What reviewing asks of the ledger: which turns wait for a person, and what people said so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import md5
from typing import Any, Literal

from traces.queries import hours, sample
from traces.queries.filter import Filter
from traces.queries.sample import Draw
from traces.queries.window import Rows, ends

Queue = Literal["thumbs_down", "low_groundedness", "random", "disagreement"]
LOW = 0.75  # groundedness below this is worth a look
NEWEST = 20_000  # answers among which the lowest are looked for; old ones would stay first for ever
FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
APART = 0.4  # a judge and the people differ by this, on a scale from 0 to 1


@dataclass(frozen=True, slots=True)
class WaitingTurn:
    """A turn that waits for a review; `reviewed` says whether this reviewer saw it."""

    turn_id: str
    thumb: float | None
    groundedness: float | None
    apart: float | None  # judge and people, on a scale from 0 to 1
    reviewed: bool


@dataclass(frozen=True, slots=True)
class TurnReview:
    """What a reviewer said of a turn, with the groundedness measured on it."""

    turn_id: str
    conversation_id: str
    name: str  # the aspect
    user_id: str | None
    value: float
    reason: str | None
    groundedness: float | None


# every score of some turns; of what a person said of a turn, the last word counts
_GRADED = """
    with said as (
        select turn_id, name, value, source, user_id, row_number() over (
            partition by turn_id, name, source,
                case when source in ('user', 'reviewer') then user_id else score_id end
            order by created_at desc, score_id desc) as age
        from ({scores}) as given
    ), graded as (
        select turn_id,
               min(value) filter (where name = 'feedback') as thumb,
               min(value) filter (where name = 'groundedness' and source in ('online', 'eval'))
                   as groundedness,
               abs(avg(value) filter (where name in ('faithfulness', 'groundedness')
                                            and source in ('online', 'eval'))
                   - avg(value) filter (where name = 'faithfulness' and source = 'reviewer')) as apart,
               bool_or(source = 'reviewer' and user_id = $reviewer) as reviewed
        from said where age = 1 group by turn_id
    )
"""
_SCORES = """
    select turn_id, name, value, source, user_id, score_id, created_at from score_history
    where turn_id >= $first{n} and turn_id <= $last{n} and turn_id in (select unnest(cast($ids{n} as text[])))
"""
_SAID = (
    _GRADED.format(scores=_SCORES.format(n=""))  # noqa: S608 - constants
    + """
    select turns.turn_id, thumb, groundedness, apart, coalesce(reviewed, false) as reviewed
    from turns left join graded on graded.turn_id = turns.turn_id
    where turns.turn_id >= $first and turns.turn_id <= $last
      and turns.turn_id in (select unnest(cast($ids as text[]))) and door = any($doors)
      and (thumb <= 0 or (outcome = 'answered' and answer is not null))
"""
)
# the hours that hold so many of the newest turns with a thumb down
_DOWN_SINCE = """
    select min(hour) as since from (
        select hour, sum(sum(down)) over (order by hour desc) - sum(down) as newer from hourly
        where door = any($doors) and down > 0 group by hour
    ) as counted where newer < $limit
"""
_DOWN = """
    select turn_id from turns
    where started_at >= $since and door = any($doors) and turn_id in (
        select turn_id from score_history where name = 'feedback' and value <= 0 and turn_id >= $first)
    order by started_at desc, turn_id
"""
_LOW = """
    select turn_id from score_history
    where name = 'groundedness' and source in ('online', 'eval') and value < $low and turn_id >= $first
    order by value, turn_id desc limit $most
"""
_BY_PEOPLE = """
    select distinct turn_id from score_history
    where name = 'faithfulness' and source = 'reviewer' and value is not null
"""
_ALL = (
    "select turn_id from turns where door = any($doors) order by md5(turn_id || $seed), turn_id limit $most"
)
SPARE = 4  # candidates for each turn wanted


def queue(
    ledger: Rows, which: Queue, *, reviewer: str, doors: tuple[str, ...], seed: int = 0, limit: int = 100
) -> list[WaitingTurn]:
    """Which turns wait for a review, most telling first?"""

    def waiting(turn_ids: list[str]) -> list[WaitingTurn]:
        bound = {"ids": turn_ids, "first": min(turn_ids, default=""), "last": max(turn_ids, default="")}
        rows = ledger.rows(_SAID, reviewer=reviewer, doors=list(doors), **bound)
        by_id = {row["turn_id"]: WaitingTurn(**row) for row in rows}
        return [by_id[turn_id] for turn_id in dict.fromkeys(turn_ids) if turn_id in by_id]

    if which == "thumbs_down":
        rows = [
            row for row in waiting(_down(ledger, doors, limit)) if row.thumb is not None and row.thumb <= 0
        ]
    elif which == "disagreement":
        graded = waiting([row["turn_id"] for row in ledger.rows(_BY_PEOPLE)])
        apart = [(row.apart, row) for row in graded if row.apart is not None and row.apart >= APART]
        rows = [row for _, row in sorted(apart, key=lambda pair: (-pair[0], pair[1].turn_id))]
    elif which == "low_groundedness":
        rows = _lowest(ledger, doors, limit, waiting)
    else:
        rows = _sample(ledger, doors, seed, limit, reviewer, waiting)
    return rows[:limit]


def _down(ledger: Rows, doors: tuple[str, ...], limit: int) -> list[str]:
    """Return the newest turns that somebody gave a thumb down, taken back ones among them."""
    since = ledger.rows(_DOWN_SINCE, doors=list(doors), limit=limit)[0]["since"]
    if since is None:
        return []
    first = ends(ledger, since, LAST)["first"]
    return [row["turn_id"] for row in ledger.rows(_DOWN, since=since, first=first, doors=list(doors))]


def _lowest(
    ledger: Rows, doors: tuple[str, ...], limit: int, waiting: Callable[[list[str]], list[WaitingTurn]]
) -> list[WaitingTurn]:
    """Return the newest turns of least groundedness; reads on until there are enough of these doors."""
    first, most = _newest(ledger, doors), limit * SPARE
    while True:
        ids = [row["turn_id"] for row in ledger.rows(_LOW, low=LOW, first=first, most=most)]
        rows = waiting(ids)
        if len(rows) >= limit or len(ids) < most:
            return rows
        most *= SPARE


def _newest(ledger: Rows, doors: tuple[str, ...]) -> str:
    """Return the first id of the days and hours that hold the newest answers; empty when all are theirs."""
    answers = 0
    for stretch in hours.counts(ledger, Filter(FIRST, LAST, doors, outcome="answered")) or ():
        answers += stretch.turns
        if answers >= NEWEST:
            return ends(ledger, stretch.since, LAST)["first"]
    return ""


def _sample(
    ledger: Rows,
    doors: tuple[str, ...],
    seed: int,
    limit: int,
    reviewer: str,
    waiting: Callable[[list[str]], list[WaitingTurn]],
) -> list[WaitingTurn]:
    """Return turns by chance, the same for a seed; of very many, those of a few hours drawn by chance."""
    draws = sample.draws(ledger, doors, str(seed), limit, SPARE)
    rows = _of_draws(ledger, draws, reviewer) if draws else []
    most = limit * SPARE
    while len(rows) < limit:
        bound = {"doors": list(doors), "seed": str(seed), "most": most}
        ids = [row["turn_id"] for row in ledger.rows(_ALL, **bound)]
        rows = waiting(ids)
        if len(ids) < most:
            break
        most *= SPARE
    return rows


def _of_draws(ledger: Rows, draws: list[Draw], reviewer: str) -> list[WaitingTurn]:
    """Return as many turns of each draw as it asks for, mixed."""
    filled = [draw for draw in draws if draw.turns]
    bound: dict[str, Any] = {"reviewer": reviewer}
    for n, draw in enumerate(filled):
        ids = list(draw.turns)
        bound |= {f"ids{n}": ids, f"first{n}": min(ids), f"last{n}": max(ids)}
    scores = " union all ".join(_SCORES.format(n=n) for n in range(len(filled)))
    sql = _GRADED.format(scores=scores) + " select * from graded"  # noqa: S608 - constants
    graded = {row["turn_id"]: WaitingTurn(**row) for row in ledger.rows(sql, **bound)} if filled else {}
    rows: list[WaitingTurn] = []
    for draw in filled:
        every = (graded.get(key, WaitingTurn(key, None, None, None, False)) for key in draw.turns)
        fit = [row for row in every if draw.turns[row.turn_id] or (row.thumb is not None and row.thumb <= 0)]
        rows += fit[: draw.most]
    return sorted(rows, key=lambda row: md5(row.turn_id.encode(), usedforsecurity=False).digest())


def given(ledger: Rows) -> list[TurnReview]:
    """What did reviewers say, with the groundedness that was measured on the same turn?"""
    rows = ledger.rows(
        """
        with grounded as (
            select turn_id, min(value) as value from scores
            where name = 'groundedness' and source in ('online', 'eval') and value is not null
            group by turn_id
        )
        select said.turn_id, turns.conversation_id, said.name, said.user_id, said.value, said.reason,
               grounded.value as groundedness
        from scores as said
        join turns on turns.turn_id = said.turn_id
        left join grounded on grounded.turn_id = said.turn_id
        where said.source = 'reviewer' and said.value is not null
        order by said.turn_id, said.name, said.user_id
        """
    )
    return [TurnReview(**row) for row in rows]
