"""What people ask about, as the drainer's sorter keeps it: sums by topic, gaps, and what is left to sort."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from traces.queries.asked import QUIET
from traces.queries.rolled import pieces
from traces.queries.window import Rows, Window

CHARACTERS = 500  # of a question that count
TEXT = f'substr(coalesce(standalone, question), 1, {CHARACTERS}) collate "C"'  # follow-ups alone


@dataclass(frozen=True, slots=True)
class Sorting:
    """By what questions were told apart: `words` is what its maker wants back."""

    fit: int
    fitted_at: datetime
    turns: int
    words: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TopicRow:
    """A topic of the current fit: the weights of its words, its name, and a question of it."""

    topic: int
    name: str
    example: str
    words: dict[str, float]


@dataclass(frozen=True, slots=True)
class TopicSums:
    """The turns of a topic in a window; `later` are in its second half, `ended` of those that are `over`."""

    topic: int | None
    turns: int
    later: int
    refused: int
    unanswered: int
    rated: int
    down: int
    cost_n: int
    cost_usd: float | None
    over: int
    ended: int


@dataclass(frozen=True, slots=True)
class Unsorted:
    """A turn that no topic was looked for yet."""

    turn_id: str
    conversation_id: str
    started_at: datetime
    door: str
    outcome: str
    question: str


class Lacking(NamedTuple):
    """How many turns of an hour are not sorted."""

    hour: datetime
    turns: int


class Wording(NamedTuple):
    """A wording of a question, and how often it was asked."""

    question: str
    times: int


@dataclass(frozen=True, slots=True)
class UnansweredQuestion:
    """A question that had no answer, by the hash of its words; `answered` when its newest turn was."""

    words: int
    question: str
    times: int
    people: int
    first_id: str
    first_at: datetime
    newest_id: str
    newest_at: datetime
    answered: bool


def sorting(ledger: Rows) -> Sorting | None:
    """Return the current fit, None before the first."""
    rows = ledger.rows("select fit, fitted_at, turns, words from sortings order by fit desc limit 1")
    return Sorting(**rows[0]) if rows else None


def topics(ledger: Rows) -> list[TopicRow]:
    """Return the topics of the current fit."""
    rows = ledger.rows("select topic, name, example, words from topics order by topic")
    return [TopicRow(**row) for row in rows]


def labels(ledger: Rows) -> dict[int, tuple[str, str]]:
    """Return the name and the example of each topic."""
    rows = ledger.rows("select topic, name, example from topics order by topic")
    return {row["topic"]: (row["name"], row["example"]) for row in rows}


def unsorted(ledger: Rows) -> int:
    """How many turns were not sorted yet?"""
    [row] = ledger.rows("select (select count(*) from turns) - (select count(*) from asked) as n")
    return row["n"]


def lacking(ledger: Rows, fit: int, since: datetime) -> list[Lacking]:
    """Which hours have turns that are not sorted (since a time: by this fit), the newest first?"""
    rows = ledger.rows(
        """
        select hour, cast(sum(n) as bigint) as turns from (
            select hour, sum(turns) as n from hourly group by hour
            union all
            select hour, -sum(turns) from hourly_topics where fit = $fit or hour < $since group by hour
        ) as counted
        group by hour having sum(n) > 0 order by hour desc
        """,
        fit=fit,
        since=since,
    )
    return [Lacking(**row) for row in rows]


def to_sort(ledger: Rows, fit: int, hours: Collection[datetime], most: int) -> list[Unsorted]:
    """Which turns of some hours did this fit not sort, the newest first?"""
    rows = ledger.rows(
        # constants
        f"""
        select turn_id, conversation_id, started_at, door, outcome, {TEXT} as question
        from turns
        where started_at >= $since and started_at < $until and date_trunc('hour', started_at) = any($hours)
          and turn_id not in (
            select turn_id from asked where started_at >= $since and started_at < $until and fit = $fit)
        order by started_at desc limit $most
        """,  # noqa: S608
        fit=fit,
        hours=list(hours),
        since=min(hours),
        until=max(hours) + timedelta(hours=1),
        most=most,
    )
    return [Unsorted(**row) for row in rows]


def wordings(ledger: Rows, window: Window, share: str, most: int) -> list[Wording]:
    """What was asked, and how often, by turns whose ids end below `share`; the most frequent first."""
    rows = ledger.rows(
        # constants
        f"""
        select {TEXT} as question, count(*) as times from turns
        where started_at >= $since and started_at < $until and door in (select unnest(cast($doors as text[])))
          and right(turn_id, 4) < $share
        group by 1 order by 2 desc, 1 limit $most
        """,  # noqa: S608
        share=share,
        most=most,
        **window.bound,
    )
    return [Wording(**row) for row in rows]


_PART = """
    select topic, {moment} >= $middle as later, {moment} < $quiet as over, turns, refused, unanswered, rated,
           down, cost_n, cost_usd, ended
    from {table}_topics where door in (select unnest(cast($doors as text[]))) and ({times})
"""


def sums(ledger: Rows, window: Window) -> list[TopicSums]:
    """Return the sums of each topic over the whole hours of a window, None's those of none."""
    hours = window.hours
    middle = Window(hours.since + (hours.until - hours.since) / 2, hours.until, hours.doors).hours.since
    source, edges = _halves(ledger, hours, middle)
    rows = ledger.rows(
        # constants
        f"""
        select topic,
               cast(sum(turns) as bigint) as turns,
               cast(coalesce(sum(turns) filter (where later), 0) as bigint) as later,
               cast(sum(refused) as bigint) as refused,
               cast(sum(unanswered) as bigint) as unanswered,
               cast(sum(rated) as bigint) as rated,
               cast(sum(down) as bigint) as down,
               cast(sum(cost_n) as bigint) as cost_n,
               cast(sum(cost_usd) as double precision) as cost_usd,
               cast(coalesce(sum(turns) filter (where over), 0) as bigint) as over,
               cast(coalesce(sum(ended) filter (where over), 0) as bigint) as ended
        from ({source}) as parts
        group by topic order by turns desc, topic
        """,  # noqa: S608
        doors=list(window.doors),
        middle=middle,
        quiet=window.until - QUIET - timedelta(hours=1),
        **edges,
    )
    return [TopicSums(**row) for row in rows]


def _halves(ledger: Rows, hours: Window, middle: datetime) -> tuple[str, dict[str, datetime]]:
    """Return what to add up on both sides of a middle, and what it binds: closed days, and hours around."""
    times: dict[tuple[str, str], list[str]] = {}
    bound: dict[str, datetime] = {}
    for half, part in enumerate((Window(hours.since, middle), Window(middle, hours.until))):
        stretches, edges = pieces(ledger, part, None)
        bound |= {f"{name}_{half}": value for name, value in edges.items()}
        for moment, table, since, until in stretches:
            stretch = f"({moment} >= ${since}_{half} and {moment} < ${until}_{half})"
            times.setdefault((moment, table), []).append(stretch)
    parts = [
        _PART.format(moment=moment, table=table, times=" or ".join(stretches))
        for (moment, table), stretches in times.items()
    ]
    return " union all ".join(parts), bound


def of_topic(ledger: Rows, window: Window, topic: int | None, most: int) -> list[str]:
    """Which are the newest turns of a topic (None: of none)?"""
    rows = ledger.rows(
        """
        select turn_id from asked
        where started_at >= $since and started_at < $until and door in (select unnest(cast($doors as text[])))
          and coalesce(topic, -1) = $topic
        order by started_at desc, turn_id desc limit $most
        """,
        topic=-1 if topic is None else topic,
        most=most,
        **window.bound,
    )
    return [row["turn_id"] for row in rows]


@dataclass(frozen=True, slots=True)
class _Gap:
    """A question without an answer in a window, its first and its last turn."""

    words: int
    times: int
    people: int
    first_at: datetime
    missing_at: datetime
    first_id: str
    missing_id: str


@dataclass(frozen=True, slots=True)
class _Asking:
    """A turn that asked a question."""

    words: int
    started_at: datetime
    turn_id: str
    outcome: str


_GAPS = """
    with here as (
        select words, turn_id, conversation_id, started_at from missing
        where started_at >= $since and started_at < $until and door in (select unnest(cast($doors as text[])))
    ), counted as (
        select words, count(*) as times, min(started_at) as first_at, max(started_at) as missing_at
        from here group by words order by 2 desc, words limit $most
    )
    select here.words, max(times) as times, count(distinct conversation_id) as people,
           max(first_at) as first_at, max(missing_at) as missing_at,
           min(case when started_at = first_at then turn_id end) as first_id,
           max(case when started_at = missing_at then turn_id end) as missing_id
    from here join counted on counted.words = here.words
    group by here.words
"""
# of all time, which is as new as any window that ends now
_LATEST = """
    select words, started_at, turn_id, outcome from latest
    where words in (select unnest(cast($words as bigint[])))
      and door in (select unnest(cast($doors as text[])))
"""
_ASKED = """
    select words, started_at, turn_id, outcome from (
        select *, row_number() over (partition by words order by started_at desc, turn_id desc) as age
        from asked
        where words in (select unnest(cast($words as bigint[]))) and started_at >= $since
          and started_at < $until and door in (select unnest(cast($doors as text[])))
    ) as aged where age = 1
"""


def missing(ledger: Rows, window: Window, most: int) -> list[UnansweredQuestion]:
    """Which questions had no answer, those asked most often first?"""
    gaps = [_Gap(**row) for row in ledger.rows(_GAPS, most=most, **window.bound)]
    if not gaps:
        return []
    newest = _newest(ledger, window, [gap.words for gap in gaps])
    texts = ledger.rows(
        "select turn_id, question from missing where turn_id in (select unnest(cast($ids as text[])))",
        ids=[gap.missing_id for gap in gaps],
    )
    questions = {row["turn_id"]: row["question"] for row in texts}
    gaps.sort(key=lambda gap: (-gap.times, gap.words))
    return [
        UnansweredQuestion(
            gap.words, questions[gap.missing_id], gap.times, gap.people, gap.first_id, gap.first_at,
            last.turn_id, last.started_at, last.started_at > gap.missing_at and last.outcome == "answered",
        )
        for gap in gaps
        for last in (newest[gap.words],)
    ]  # fmt: skip


def _newest(ledger: Rows, window: Window, words: list[int]) -> dict[int, _Asking]:
    """Return the newest turn of a window in these words, of each."""
    turns = [_Asking(**row) for row in ledger.rows(_LATEST, words=words, doors=list(window.doors))]
    turns.sort(key=lambda turn: (turn.started_at, turn.turn_id))
    newest = {turn.words: turn for turn in turns}
    later = [turn.words for turn in newest.values() if turn.started_at >= window.until]
    rows = ledger.rows(_ASKED, words=later, **window.bound) if later else []
    return newest | {row["words"]: _Asking(**row) for row in rows}
