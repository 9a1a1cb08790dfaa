"""What reviewing asks of the ledger: which turns wait for a person, and what people said so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from traces.queries.window import Rows

Queue = Literal["thumbs_down", "low_groundedness", "random", "disagreement"]
LOW = 0.75  # groundedness below this is worth a look
APART = 0.4  # a judge and the people differ by this, on a scale from 0 to 1


@dataclass(frozen=True, slots=True)
class Waiting:
    """A turn that waits for a review; `reviewed` says whether this reviewer saw it."""

    turn_id: str
    thumb: float | None
    groundedness: float | None
    apart: float | None  # judge and people, on a scale from 0 to 1
    reviewed: bool


@dataclass(frozen=True, slots=True)
class Given:
    """What a reviewer said of a turn, with the groundedness measured on it."""

    turn_id: str
    conversation_id: str
    name: str  # the aspect
    user_id: str | None
    value: float
    reason: str | None
    groundedness: float | None


_FACTS = """
    with thumbs as (
        select turn_id, min(value) as value from scores
        where name = 'feedback' and value is not null group by turn_id
    ), grounded as (
        select turn_id, min(value) as value from scores
        where name = 'groundedness' and source in ('online', 'eval') and value is not null group by turn_id
    ), judged as (
        select turn_id, avg(value) as value from scores
        where name in ('faithfulness', 'groundedness') and source in ('online', 'eval')
          and value is not null group by turn_id
    ), people as (
        select turn_id, avg(value) as value from scores
        where name = 'faithfulness' and source = 'reviewer' and value is not null group by turn_id
    ), mine as (
        select distinct turn_id from scores where source = 'reviewer' and user_id = $reviewer
    ), waiting as (
        select turns.turn_id, turns.started_at, thumbs.value as thumb, grounded.value as groundedness,
               abs(judged.value - people.value) as apart, mine.turn_id is not null as reviewed
        from turns
        left join thumbs on thumbs.turn_id = turns.turn_id
        left join grounded on grounded.turn_id = turns.turn_id
        left join judged on judged.turn_id = turns.turn_id
        left join people on people.turn_id = turns.turn_id
        left join mine on mine.turn_id = turns.turn_id
        where turns.door = any($doors) and turns.answer is not null and turns.outcome = 'answered'
           or (turns.door = any($doors) and thumbs.value <= 0)
    )
"""
_ORDERS = {
    "thumbs_down": "where thumb <= 0 order by started_at desc, turn_id",
    "low_groundedness": "where groundedness < $low order by groundedness, turn_id",
    "disagreement": "where apart >= $apart order by apart desc, turn_id",
    "random": "order by md5(turn_id || $seed), turn_id",
}


def queue(
    ledger: Rows, which: Queue, *, reviewer: str, doors: tuple[str, ...], seed: int = 0, limit: int = 100
) -> list[Waiting]:
    """Which turns wait for a review, most telling first?"""
    rows = ledger.rows(
        f"{_FACTS} select turn_id, thumb, groundedness, apart, reviewed from waiting "  # noqa: S608 - constants
        f"{_ORDERS[which]} limit $limit",
        reviewer=reviewer,
        doors=list(doors),
        limit=limit,
        **({"low": LOW} if which == "low_groundedness" else {}),
        **({"apart": APART} if which == "disagreement" else {}),
        **({"seed": str(seed)} if which == "random" else {}),
    )
    return [Waiting(**row) for row in rows]


def given(ledger: Rows) -> list[Given]:
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
    return [Given(**row) for row in rows]
