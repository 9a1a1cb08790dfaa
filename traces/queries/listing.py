"""What the list of turns asks of the ledger: a page, a count, the choices, the neighbours."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from traces.queries.window import Rows, Window
from traces.records import ERRORS, PRODUCTION, TRIALS

_MATCHING = r"""
    with matching as (
        select turn_id, started_at from turns
        where started_at >= $since and started_at < $until and door = any($doors)
          and (cast($outcome as text) is null or outcome = $outcome)
          and (cast($model as text) is null or model = $model)
          and (cast($prompt as text) is null or prompt = $prompt)
          and (cast($user_id as text) is null or user_id = $user_id)
          and (cast($min_seconds as double precision) is null or seconds >= $min_seconds)
          and (cast($run_id as text) is null or run_id = $run_id)
          and (not $errors or outcome = any($error_outcomes))
          and (not $missed or hit = false)
          and (not $unpriced or (cost_usd is null and attempts > 0))
"""
_TEXT = r"""
          and (question ilike $pattern escape '\' or answer ilike $pattern escape '\')
"""
_RATED = """
          and turn_id in (
              select turn_id from scores where name = 'feedback' and value is not null
              group by turn_id having (min(value) > 0) = ($rating = 'up'))
"""
_UNRATED = """
          and turn_id not in (
              select turn_id from scores where name = 'feedback' and value is not null)
"""
# The page is picked by its ids first, so that the texts of the other turns are never read.
_PAGE = """)
    , picked as (
        select turn_id from matching order by started_at desc, turn_id desc limit $limit offset $offset
    )
    select turns.turn_id, turns.started_at, door, user_id, conversation_id,
           substr(question, 1, 240) as question, outcome, error_class, model, prompt,
           first_token_seconds, seconds, cost_usd, attempts, input_tokens, output_tokens, hit
    from turns join picked on picked.turn_id = turns.turn_id
    where started_at >= $since and started_at < $until
    order by turns.started_at desc, turns.turn_id desc
"""
_COUNT = ") select count(*) as turns from matching"
_RATINGS = """
    select turn_id, min(value) as rating from (
        select turn_id, value, row_number() over (
            partition by turn_id, source, user_id order by created_at desc, score_id desc) as age
        from score_history
        where name = 'feedback' and turn_id >= $first and turn_id <= $last and turn_id = any($ids)
    ) as words
    where age = 1 and value is not null group by turn_id
"""


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
        text, rating = values.pop("text"), values.pop("rating")
        more = {} if text is None else {"pattern": like(text)}
        if rating in ("up", "down"):
            more["rating"] = rating
        return {**values, **more, "doors": list(self.doors), "error_outcomes": list(ERRORS)}

    @property
    def sql(self) -> str:
        rated = {None: "", "none": _UNRATED}.get(self.rating, _RATED)
        return _MATCHING + ("" if self.text is None else _TEXT) + rated


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
    rows = ledger.rows(which.sql + _PAGE, limit=limit, offset=offset, **which.bound)
    rating = ratings(ledger, [row["turn_id"] for row in rows])
    return [TurnRow(**row, rating=rating.get(row["turn_id"])) for row in rows]


def ratings(ledger: Rows, turn_ids: list[str]) -> dict[str, float]:
    """How were these turns rated? The last word of a person counts, and of several people the worst."""
    if not turn_ids:
        return {}
    rows = ledger.rows(_RATINGS, ids=turn_ids, first=min(turn_ids), last=max(turn_ids))
    return {row["turn_id"]: row["rating"] for row in rows}


def count(ledger: Rows, which: Filter) -> int:
    """How many turns match?"""
    return ledger.rows(which.sql + _COUNT, **which.bound)[0]["turns"]


def choices(ledger: Rows, since: datetime, until: datetime) -> Choices:
    """Which models and prompts can a filter offer for a time range?"""
    rows = ledger.rows(
        """
        select distinct model, prompt from hourly
        where hour >= $since and hour < $until and door = any($doors)
        """,
        **Window(since, until, (*PRODUCTION, *TRIALS)).hours.bound,
    )
    models = {row["model"] for row in rows if row["model"] is not None}
    return Choices(sorted(models), sorted({row["prompt"] for row in rows if row["prompt"] is not None}))


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
