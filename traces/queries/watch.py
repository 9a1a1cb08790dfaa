"""What the alerts ask of the ledger: counts in small steps, what changed when, and where evalsets stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from traces.queries.window import Rows, Window
from traces.records import ERRORS

PARTS = {
    "prompt": "prompt",
    "model": "model",
    "index_version": "index",
    "guardrails": "guardrails",
    "code_version": "code",
}


@dataclass(frozen=True, slots=True)
class TurnStep:
    """The turns of a step, and how many went wrong in which way."""

    step: int
    turns: int
    errors: int
    searched: int
    missed: int
    timed: int
    slow: int
    first_timed: int
    first_slow: int
    refused: int
    turned_away: int
    abstained: int


@dataclass(frozen=True, slots=True)
class RatingStep:
    """The ratings of a step."""

    step: int
    rated: int
    down: int


@dataclass(frozen=True, slots=True)
class ScoreStep:
    """The scores that judges gave in a step."""

    step: int
    scored: int
    unscored: int


@dataclass(frozen=True, slots=True)
class ConversationStep:
    """What the conversations cost that began in a step."""

    step: int
    conversations: int
    conversation_usd: float
    conversation_usd_squares: float


Step = TurnStep | RatingStep | ScoreStep | ConversationStep


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A model without a known price, and how many turns it answered."""

    model: str
    turns: int


@dataclass(frozen=True, slots=True)
class Swap:
    """One part that came to answer in the place of another."""

    part: str
    at: datetime
    was: str
    now: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A run with answers, and what it was made with."""

    run_id: str
    evalset: str
    evalset_fingerprint: str
    prompt: str | None
    prompt_fingerprint: str | None
    model: str | None
    index_version: str | None
    guardrails: str | None
    code_version: str | None
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class PairedCase:
    """One case on one metric in two runs."""

    name: str
    case_id: str
    before: float
    after: float


def counts(
    ledger: Rows, window: Window, step_seconds: int, *, turn_seconds: float, first_token_seconds: float
) -> list[TurnStep]:
    """How many turns of each step went wrong, and in which way? Empty steps are absent.

    Turns that limits turned away are neither errors nor refusals: `turned_away` counts them.
    """
    rows = ledger.rows(
        """
        select cast(floor((extract(epoch from started_at) - $begin) / $step) as integer) as step,
               count(*) as turns,
               count(*) filter (where outcome = any($errors)) as errors,
               count(hit) as searched,
               count(*) filter (where not hit) as missed,
               count(seconds) as timed,
               count(*) filter (where seconds > $turn_seconds) as slow,
               count(first_token_seconds) as first_timed,
               count(*) filter (where first_token_seconds > $first_token_seconds) as first_slow,
               count(*) filter (
                   where outcome = 'refused' and error_class in ('guard_in', 'guard_out', 'refused')
                     and coalesce(refusal, '') not like 'limit:%'
               ) as refused,
               count(*) filter (where refusal like 'limit:%' or error_class = 'shed') as turned_away,
               count(*) filter (where outcome = 'no_context') as abstained
        from turns
        where started_at >= $since and started_at < $until and door = any($doors)
        group by 1
        """,
        begin=window.since.timestamp(),
        step=step_seconds,
        errors=list(ERRORS),
        turn_seconds=turn_seconds,
        first_token_seconds=first_token_seconds,
        **window.bound,
    )
    return [TurnStep(**row) for row in rows]


def thumbs(ledger: Rows, window: Window, step_seconds: int) -> list[RatingStep]:
    """How many ratings did people give in each step, and how many of them down?"""
    rows = ledger.rows(
        """
        select cast(floor((extract(epoch from created_at) - $begin) / $step) as integer) as step,
               count(*) as rated, count(*) filter (where value <= 0) as down
        from scores
        where name = 'feedback' and source = 'user' and value is not null
          and created_at >= $since and created_at < $until
        group by 1
        """,
        begin=window.since.timestamp(),
        step=step_seconds,
        since=window.since,
        until=window.until,
    )
    return [RatingStep(**row) for row in rows]


def scored(ledger: Rows, window: Window, step_seconds: int) -> list[ScoreStep]:
    """How many scores did judges give in each step, and how many failed?"""
    rows = ledger.rows(
        """
        select cast(floor((extract(epoch from created_at) - $begin) / $step) as integer) as step,
               count(*) as scored, count(*) filter (where failed) as unscored
        from scores
        where source in ('eval', 'online') and name <> 'completed'
          and created_at >= $since and created_at < $until
        group by 1
        """,
        begin=window.since.timestamp(),
        step=step_seconds,
        since=window.since,
        until=window.until,
    )
    return [ScoreStep(**row) for row in rows]


def conversations(ledger: Rows, window: Window, step_seconds: int) -> list[ConversationStep]:
    """What did the conversations cost that began in each step, those whose price is known?"""
    rows = ledger.rows(
        """
        select cast(floor((extract(epoch from begun) - $begin) / $step) as integer) as step,
               count(*) as conversations, sum(usd) as conversation_usd,
               sum(usd * usd) as conversation_usd_squares
        from (
            select min(started_at) as begun, coalesce(sum(cost_usd), 0) as usd
            from turns
            where started_at >= $since and started_at < $until and door = any($doors)
            group by conversation_id
            having count(*) filter (where cost_usd is null and attempts > 0) = 0
        ) as priced
        group by 1
        """,
        begin=window.since.timestamp(),
        step=step_seconds,
        **window.bound,
    )
    return [ConversationStep(**row) for row in rows]


def unpriced(ledger: Rows, window: Window) -> list[Unpriced]:
    """Which models without a known price answered, and how many turns?"""
    rows = ledger.rows(
        """
        select usages.model as model, count(distinct usages.turn_id) as turns
        from usages join turns on turns.turn_id = usages.turn_id
        where turns.started_at >= $since and turns.started_at < $until and turns.door = any($doors)
          and usages.cost_usd is null
        group by usages.model order by turns desc, model
        """,
        **window.bound,
    )
    return [Unpriced(**row) for row in rows]


def changes(ledger: Rows, window: Window) -> list[Swap]:
    """Which prompt, model, index, guardrails or code came to answer, in the place of which, and when?

    One that answered within the six hours before is nothing new: a canary's turns alternate.
    """
    result: list[Swap] = []
    for column, name in PARTS.items():
        rows = ledger.rows(
            # the column is one of five constants above
            f"""
            select value, was, seen_at from (
                select {column} as value, started_at as seen_at,
                       lag({column}) over (order by started_at, turn_id) as was,
                       lag(started_at) over (partition by {column} order by started_at, turn_id) as last_at
                from turns
                where started_at >= $since and started_at < $until and door = any($doors)
                  and {column} is not null and {column} <> 'extractive'
            ) as seen
            where was <> value and (last_at is null or seen_at - last_at > interval '6 hours')
            """,  # noqa: S608
            **window.bound,
        )
        result += [Swap(name, row["seen_at"], row["was"], row["value"]) for row in rows]
    return sorted(result, key=lambda swap: swap.at)


def finished(ledger: Rows, since: datetime) -> list[Finished]:
    """Which runs with answers finished, newest first?"""
    rows = ledger.rows(
        """
        select run_id, evalset, evalset_fingerprint, prompt, prompt_fingerprint, model, index_version,
               guardrails, code_version, started_at, finished_at
        from runs
        where state = 'finished' and "only" is null and finished_at >= $since
        order by finished_at desc, run_id desc
        """,
        since=since,
    )
    return [Finished(**row) for row in rows]


def paired(ledger: Rows, before: str, after: str) -> list[PairedCase]:
    """How did each case of two runs score on each metric, its repetitions averaged?"""
    rows = ledger.rows(
        """
        with each as (
            select run_id, case_id, name, avg(value) as value from scores
            where run_id in ($before, $after) and source = 'eval' and value is not null and not failed
            group by run_id, case_id, name
        )
        select a.name as name, a.case_id as case_id, a.value as before, b.value as after
        from each as a join each as b on b.case_id = a.case_id and b.name = a.name
        where a.run_id = $before and b.run_id = $after
        order by a.name, a.case_id
        """,
        before=before,
        after=after,
    )
    return [PairedCase(**row) for row in rows]
