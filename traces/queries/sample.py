"""Turns by chance out of very many: each has the same chance, and few hours are read for it.

A cell is some hours that follow each other and hold enough turns. Cells are drawn evenly over all turns, so
one of twice as many is drawn twice as often; out of each draw come equally many turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import md5

from traces.queries.window import Rows

MANY = 20_000  # turns that may wait; of fewer, all are looked at
DRAWS = 5  # each takes four milliseconds of CPU at a million turns
CELL = 400  # turns of a cell, at least: more than all draws together take of it
HOUR = timedelta(hours=1)
_HOURS = """
    select hour, cast(sum(case when outcome = 'answered' then turns else down end) as bigint) as n from hourly
    where door = any($doors) group by hour
    having sum(case when outcome = 'answered' then turns else down end) > 0 order by hour
"""
_PICKED = """
    (select {n} as cell, turn_id, outcome = 'answered' and answer is not null as answered
     from turns where started_at >= $since{n} and started_at < $until{n} and door = any($doors)
     order by md5(turn_id || $seed), turn_id limit $most{n})
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """Hours that follow each other, and how many turns of them may wait for a review."""

    since: datetime
    until: datetime
    turns: int


def cells(hours: Sequence[tuple[datetime, int]], least: int = CELL) -> list[Cell]:
    """Join hours, in order, to cells of so many turns at least; a rest at the end joins the last one."""
    result: list[Cell] = []
    since, turns = None, 0
    for hour, number in hours:
        since, turns = since or hour, turns + number
        if turns >= least:
            result.append(Cell(since, hour + HOUR, turns))
            since, turns = None, 0
    if since is not None:
        last = result.pop() if result else Cell(since, since, 0)
        result.append(Cell(last.since, hours[-1][0] + HOUR, last.turns + turns))
    return result


def drawn(among: Sequence[Cell], draws: int, seed: str) -> dict[Cell, int]:
    """Return which cells are drawn, and how often: at even steps over all turns, from a place by chance."""
    whole = sum(cell.turns for cell in among)
    begin = int(md5(seed.encode(), usedforsecurity=False).hexdigest(), 16) % whole / draws
    places = [begin + draw * whole / draws for draw in range(draws)]
    result: dict[Cell, int] = {}
    over, at = 0, 0
    for cell in among:
        over += cell.turns
        while at < draws and places[at] < over:
            result[cell] = result.get(cell, 0) + 1
            at += 1
    return result


@dataclass(frozen=True, slots=True)
class Draw:
    """Turns of one cell in an order by chance, each with whether it was answered, and how many to take."""

    turns: dict[str, bool]
    most: int  # of them that the sample takes


def draws(ledger: Rows, doors: tuple[str, ...], seed: str, limit: int, spare: int) -> list[Draw] | None:
    """Draw cells for about `limit` turns that may wait for a review; None when all turns may be looked at.

    `spare` times as many are given: some of them have nothing to review.
    """
    hours = [(row["hour"], row["n"]) for row in ledger.rows(_HOURS, doors=list(doors))]
    if sum(number for _, number in hours) < MANY:
        return None
    result: list[Draw] = []
    bound: dict[str, object] = {"doors": list(doors), "seed": seed}
    for n, (cell, times) in enumerate(drawn(cells(hours), DRAWS, seed).items()):
        result.append(Draw({}, times * -(-limit // DRAWS)))
        bound |= {f"since{n}": cell.since, f"until{n}": cell.until, f"most{n}": result[n].most * spare}
    pieces = " union all ".join(_PICKED.format(n=n) for n in range(len(result)))
    for row in ledger.rows(f"select * from ({pieces}) as picked", **bound):  # noqa: S608 - constants
        result[row["cell"]].turns[row["turn_id"]] = row["answered"]
    return result
