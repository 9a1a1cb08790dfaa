"""What the list of turns asks of the ledger: a page, a count, the choices, the neighbours."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from traces.queries.window import Rows
from traces.records import ERRORS, PRODUCTION

_MATCHING = r"""
    with ratings as (
        select turn_id, min(value) as value
        from scores where name = 'feedback' and value is not null
        group by turn_id
    ), matching as (
        select turns.*, ratings.value as rating
        from turns left join ratings on ratings.turn_id = turns.turn_id
        where turns.started_at >= $since and turns.started_at < $until and turns.door = any($doors)
          and (cast($outcome as text) is null or turns.outcome = $outcome)
          and (cast($model as text) is null or turns.model = $model)
          and (cast($prompt as text) is null or turns.prompt = $prompt)
          and (cast($user_id as text) is null or turns.user_id = $user_id)
          and (cast($min_seconds as double precision) is null or turns.seconds >= $min_seconds)
          and (cast($run_id as text) is null or turns.run_id = $run_id)
          and (not $errors or turns.outcome = any($error_outcomes))
          and (not $missed or turns.hit = false)
          and (not $unpriced or (turns.cost_usd is null and turns.attempts > 0))
          and (cast($rating as text) is null
               or ($rating = 'up' and ratings.value > 0)
               or ($rating = 'down' and ratings.value <= 0)
               or ($rating = 'none' and ratings.value is null))
          and (cast($pattern as text) is null
               or turns.question ilike $pattern escape '\' or turns.answer ilike $pattern escape '\')
    )
"""
# The page is picked by its ids first, so that the texts of the other turns are never read.
_PAGE = (
    _MATCHING  # noqa: S608 - two constants
    + """
    , picked as (
        select turn_id, started_at, rating from matching
        order by started_at desc, turn_id desc
        limit $limit offset $offset
    )
    select turns.turn_id, turns.started_at, door, user_id, conversation_id,
           substr(question, 1, 240) as question, outcome, error_class, model, prompt,
           first_token_seconds, seconds, cost_usd, attempts, input_tokens, output_tokens, hit, rating
    from turns join picked on picked.turn_id = turns.turn_id
    order by turns.started_at desc, turns.turn_id desc
    """
)
_COUNT = _MATCHING + "select count(*) as turns from matching"  # noqa: S608 - two constants


@dataclass(frozen=True, slots=True)
class Filter:
    """Which turns to list; None means any."""

    since: datetime
    until: datetime
    doors: tuple[str, ...] = PRODUCTION
    outcome: str | None = None
    model: str | None = None
    prompt: str | None = None
    user_id: str | None = None
    rating: str | None = None  # up | down | none
    min_seconds: float | None = None
    errors: bool = False  # failed, cut or degraded only
    missed: bool = False  # retrieval found nothing above the floor
    unpriced: bool = False
    run_id: str | None = None
    text: str | None = None  # anywhere in the question or the answer, case ignored

    @property
    def bound(self) -> dict[str, Any]:
        values = asdict(self)
        text = values.pop("text")
        pattern = None if text is None else like(text)
        return {**values, "doors": list(self.doors), "pattern": pattern, "error_outcomes": list(ERRORS)}


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A turn as the list shows it: its question cut to 240 characters, and its last rating."""

    turn_id: str
    started_at: datetime
    door: str
    user_id: str
    conversation_id: str
    question: str
    outcome: str
    error_class: str | None
    model: str | None
    prompt: str | None
    first_token_seconds: float | None
    seconds: float | None
    cost_usd: float | None
    attempts: int | None
    input_tokens: int | None
    output_tokens: int | None
    hit: bool | None
    rating: float | None


@dataclass(frozen=True, slots=True)
class Choices:
    """What a filter can offer."""

    models: list[str]
    prompts: list[str]


def like(text: str) -> str:
    r"""Return an `ilike` pattern that finds `text` anywhere, with `\` as the escape."""
    for special in "\\%_":
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"


def page(ledger: Rows, which: Filter, limit: int, offset: int) -> list[TurnRow]:
    """Which turns match, newest first, `limit` of them from `offset`? With the last rating of each."""
    return [TurnRow(**row) for row in ledger.rows(_PAGE, limit=limit, offset=offset, **which.bound)]


def count(ledger: Rows, which: Filter) -> int:
    """How many turns match?"""
    return ledger.rows(_COUNT, **which.bound)[0]["turns"]


def choices(ledger: Rows, since: datetime, until: datetime) -> Choices:
    """Which models and prompts can a filter offer for a time range?"""
    models = _names(
        ledger.rows(
            """
            select distinct model as name from turns
            where started_at >= $since and started_at < $until and model is not null order by name
            """,
            since=since,
            until=until,
        )
    )
    prompts = _names(
        ledger.rows(
            """
            select distinct prompt as name from turns
            where started_at >= $since and started_at < $until and prompt is not null order by name
            """,
            since=since,
            until=until,
        )
    )
    return Choices(models, prompts)


def named(ledger: Rows, part: str, limit: int = 10) -> list[str]:
    """Which turn ids begin or end with these characters, newest first?"""
    rows = ledger.rows(
        r"""
        select turn_id from turns
        where turn_id like $begin escape '\' or turn_id like $end escape '\'
        order by turn_id desc limit $limit
        """,
        begin=like(part.lower())[1:],
        end=like(part.lower())[:-1],
        limit=limit,
    )
    return [row["turn_id"] for row in rows]


def conversation(ledger: Rows, conversation_id: str) -> list[str]:
    """Which turns make up a conversation, oldest first (200 at most)? Their ids."""
    rows = ledger.rows(
        """
        select turn_id from turns where conversation_id = $conversation_id
        order by started_at, turn_id limit 200
        """,
        conversation_id=conversation_id,
    )
    return [row["turn_id"] for row in rows]


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["name"] for row in rows]
