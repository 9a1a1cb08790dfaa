"""What the list of turns asks of the ledger: a page, a count, the choices, the neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from traces import words
from traces.ids import TAIL
from traces.queries import hours
from traces.queries.filter import Filter
from traces.queries.hours import HourStretch
from traces.queries.window import Rows, Window, ends
from traces.records import FOREIGN, PRODUCTION, TRIALS
from traces.words import Sought

MOST = 5_000  # turns that a search names: a list of them, and a download, ends there

_BASE = "started_at >= $since and started_at < $until and door = any($doors)"
_MATCHING = "with matching as (select turn_id, started_at from turns where " + _BASE  # noqa: S608
# few turns are named: nothing of the others is looked at
_NAMED = (
    """
    with named as materialized (
        select turn_id, started_at, door, outcome, model, prompt, user_id, seconds, run_id, hit,
               cost_usd, attempts
        from turns where turn_id in (select unnest(cast($ids as text[])))
    ), matching as (select turn_id, started_at from named where """  # noqa: S608 - constants
    + _BASE
)
_ASKED = {
    "outcome": " and outcome = $outcome",
    "model": " and model = $model",
    "prompt": " and prompt = $prompt",
    "user_id": " and user_id = $user_id",
    "min_seconds": " and seconds >= $min_seconds",
    "run_id": " and run_id = $run_id",
    "errors": " and outcome = any($error_outcomes)",
    "missed": " and hit = false",
    "unpriced": " and cost_usd is null and attempts > 0",
}
LIKE = r" and (question ilike $pattern escape '\' or answer ilike $pattern escape '\')"
_TEXT = "lower(concat(question, ' ', answer))"
# most texts lack the word, which is soon seen
_SPELLED = f" and strpos({_TEXT}, ${{word}}) > 0 and regexp_replace({_TEXT}, ${{name}}, '') <> {_TEXT}"
_THUMBS = """
              select turn_id from scores
              where name = 'feedback' and value is not null and turn_id >= $first and turn_id <= $last
"""
_RATED = f" and turn_id in ({_THUMBS} group by turn_id having (min(value) > 0) = ($rating = 'up'))"
_UNRATED = f" and turn_id not in ({_THUMBS})"
IN_ORDER = ") select turn_id from matching order by started_at desc, turn_id desc"
_TURNS = """
    select turn_id, started_at, door, user_id, conversation_id,
           substr(question, 1, 240) as question, outcome, error_class, model, prompt,
           first_token_seconds, seconds, cost_usd, attempts, input_tokens, output_tokens, hit
    from turns
    where turn_id >= $first and turn_id <= $last and turn_id in (select unnest(cast($ids as text[])))
    order by started_at desc, turn_id desc
"""
_CONVERSATIONS = """)
    select distinct conversation_id from turns join matching on matching.turn_id = turns.turn_id
    where turns.started_at >= $since and turns.started_at < $until
"""
_COUNT = ") select count(*) as turns from matching"
_RATINGS = """
    select turn_id, min(value) as rating from (
        select turn_id, value, row_number() over (
            partition by turn_id, source, user_id order by created_at desc, score_id desc) as age
        from score_history
        where name = 'feedback' and turn_id >= $first and turn_id <= $last
          and turn_id in (select unnest(cast($ids as text[])))
    ) as words
    where age = 1 and value is not null group by turn_id
"""


Query = tuple[str, dict[str, Any]]  # SQL, and the values it binds


class WordIndexed(Rows, Protocol):
    """A ledger that may have an index of words."""

    def search(self, sought: Sought, since: datetime, until: datetime, most: int) -> list[str] | None: ...


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
class Looked:
    """A page of turns, how many match in all, and whether older ones with the words were left out."""

    rows: list[TurnRow]
    matching: int
    more: bool


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


def look(ledger: WordIndexed, which: Filter, limit: int, offset: int) -> Looked:
    """Which turns match, newest first, `limit` of them from `offset`, and how many are there in all?"""
    which, more = worded(which, ledger)
    if which.ids is not None:
        sql, bound = matching(ledger, which)
        ids = [row["turn_id"] for row in ledger.rows(sql + IN_ORDER, **bound)]
        return Looked(_rows(ledger, ids[offset : offset + limit]), len(ids), more)
    stretches = _stretches(ledger, which)
    if stretches is None:
        sql, bound = matching(ledger, which)
        number = ledger.rows(sql + _COUNT, **bound)[0]["turns"]
    else:
        number = sum(stretch.turns for stretch in stretches)
        place = hours.place(stretches, limit, offset)
        if place is None:
            return Looked([], number, more)
        narrow = replace(which, since=place.since, until=place.until)
        (sql, bound), offset = matching(ledger, narrow), offset - place.skipped
    picked = ledger.rows(f"{sql}{IN_ORDER} limit $limit offset $offset", limit=limit, offset=offset, **bound)
    return Looked(_rows(ledger, [row["turn_id"] for row in picked]), number, more)


def page(ledger: WordIndexed, which: Filter, limit: int, offset: int) -> list[TurnRow]:
    """Which turns match, newest first, `limit` of them from `offset`? With the last rating of each."""
    return look(ledger, which, limit, offset).rows


def count(ledger: WordIndexed, which: Filter) -> int:
    """How many turns match?"""
    return look(ledger, which, 0, 0).matching


def _rows(ledger: Rows, turn_ids: list[str]) -> list[TurnRow]:
    """Read some turns, and no text of any other."""
    if not turn_ids:
        return []
    rows = ledger.rows(_TURNS, **_between(turn_ids))
    rating = ratings(ledger, [row["turn_id"] for row in rows])
    return [TurnRow(**row, rating=rating.get(row["turn_id"])) for row in rows]


def _between(turn_ids: list[str]) -> dict[str, Any]:
    """Bind some turns and their ends: ids sort by time, so little lies between those of a page."""
    return {"ids": turn_ids, "first": min(turn_ids), "last": max(turn_ids)}


def worded(which: Filter, ledger: WordIndexed) -> tuple[Filter, bool]:
    """Which turns hold the words of a filter? Names them in it, where an index knows them.

    The newest 5,000, or 50,000 where more is asked for than words; True when older ones were left out.
    """
    if which.text is None or which.ids is not None or not (sought := words.sought(which.text)).phrases:
        return which, False
    ids = ledger.search(sought, which.since, which.until, MOST + 1)
    if ids is not None and len(ids) > MOST and not which.plain:
        ids = ledger.search(sought, which.since, which.until, 10 * MOST + 1)
    if ids is None:
        return which, False
    most = MOST if which.plain else 10 * MOST
    return replace(which, ids=tuple(ids[:most])), len(ids) > most


def conversations(ledger: WordIndexed, which: Filter) -> set[str]:
    """In which conversations are the turns that match?"""
    sql, bound = matching(ledger, which)
    rows = ledger.rows(sql + _CONVERSATIONS, **bound)
    return {row["conversation_id"] for row in rows}


def matching(ledger: WordIndexed, which: Filter) -> Query:
    """Return the beginning of a query for the turns that match, and what it binds."""
    which, _ = worded(which, ledger)
    conditions = {name: sql for name, sql in _ASKED.items() if getattr(which, name) not in (None, False)}
    sql, bound = (_MATCHING if which.ids is None else _NAMED) + "".join(conditions.values()), which.bound
    if which.text is not None and which.ids is None:
        more, patterns = _spelled(which.text)
        sql, bound = sql + more, {**bound, **patterns}
    if which.rating is not None:
        sql += _UNRATED if which.rating == "none" else _RATED
        bound |= ends(ledger, which.since, which.until) | (
            {} if which.rating == "none" else {"rating": which.rating}
        )
    return sql, bound


def _spelled(text: str) -> tuple[str, dict[str, str]]:
    """Return what looks for words in the texts themselves."""
    sought = words.sought(text)
    if not sought.phrases:
        return LIKE, {"pattern": like(text)}
    sql, bound = "", dict[str, str]()
    for number, (phrase, pattern) in enumerate(zip(sought.phrases, sought.patterns, strict=True)):
        name, word = f"pattern{number}", f"word{number}"
        sql += _SPELLED.replace("{name}", name).replace("{word}", word)
        bound |= {name: pattern, word: max(phrase, key=len)}
    return sql, bound


def _stretches(ledger: WordIndexed, which: Filter) -> list[HourStretch] | None:
    """Return how many turns match in each hour, newest first, by the rollups; None when they cannot tell."""
    whole = hours.counts(ledger, which)
    if whole is None:
        return None
    first, last = hours.first_hour(which.since), hours.last_hour(which.until)
    ends = [(last, which.until), (which.since, first)]
    newest, oldest = (
        [HourStretch(since, until, _counted(ledger, replace(which, since=since, until=until)))]
        if since < until
        else []
        for since, until in ends
    )
    return [*newest, *whole, *oldest]


def _counted(ledger: WordIndexed, which: Filter) -> int:
    sql, bound = matching(ledger, which)
    return ledger.rows(sql + _COUNT, **bound)[0]["turns"]


def ratings(ledger: Rows, turn_ids: list[str]) -> dict[str, float]:
    """How were these turns rated? The last word of a person counts, and of several people the worst."""
    if not turn_ids:
        return {}
    rows = ledger.rows(_RATINGS, **_between(turn_ids))
    return {row["turn_id"]: row["rating"] for row in rows}


def choices(ledger: Rows, since: datetime, until: datetime) -> Choices:
    """Which models and prompts can a filter offer for a time range?"""
    rows = ledger.rows(
        """
        select distinct model, prompt from hourly
        where hour >= $since and hour < $until and door = any($doors)
        """,
        **Window(since, until, (*PRODUCTION, *TRIALS, *FOREIGN)).hours.bound,
    )
    models = {row["model"] for row in rows if row["model"] is not None}
    return Choices(sorted(models), sorted({row["prompt"] for row in rows if row["prompt"] is not None}))


def named(ledger: Rows, part: str, limit: int = 10) -> list[str]:
    """Which turn ids begin or end with these characters, newest first?"""
    part = part.lower()
    # the last characters alone are what PostgreSQL can have an index of
    tail = f"right(turn_id, {TAIL}) = $tail and" if len(part) >= TAIL else ""
    rows = ledger.rows(
        # constants
        rf"""
        select turn_id from turns
        where (turn_id >= $part and turn_id <= $last) or ({tail} turn_id like $end escape '\')
        order by turn_id desc limit $limit
        """,  # noqa: S608
        part=part,
        last=part + "\uffff",
        end=like(part)[:-1],
        limit=limit,
        **({"tail": part[-TAIL:]} if tail else {}),
    )
    return [row["turn_id"] for row in rows]


def conversation(ledger: Rows, conversation_id: str, at: datetime) -> list[str]:
    """Which turns make up the conversation that went on at a moment, oldest first, 200 at most?"""
    [ends] = ledger.rows(
        """
        select min(began) as began, max(ended) as ended from conversations
        where conversation_id = $conversation_id and began <= $at and ended >= $at
        """,
        conversation_id=conversation_id,
        at=at,
    )
    rows = ledger.rows(
        """
        select turn_id from turns
        where started_at >= $began and started_at <= $ended and conversation_id = $conversation_id
        order by started_at, turn_id limit 200
        """,
        conversation_id=conversation_id,
        **ends,
    )
    return [row["turn_id"] for row in rows]
