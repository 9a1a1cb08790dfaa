"""What the Overview asks of the ledger: one number, one series or one breakdown a function."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from traces.queries import rolled
from traces.queries.rolled import ConversationCost, StepCost
from traces.queries.window import Rows, Window, ends
from traces.records import ERRORS


@dataclass(frozen=True, slots=True)
class Totals:
    """How much, how fast, how good and how dear the turns of a window were; shares of nothing are None."""

    turns: int
    conversations: int
    first_token_p50: float | None
    first_token_p95: float | None
    latency_p95: float | None
    searched: int
    hit_rate: float | None
    error_rate: float | None
    cost_usd: float | None
    unpriced: int


@dataclass(frozen=True, slots=True)
class StepTotals:
    """The same of one step, which counts from the window's begin."""

    step: int
    turns: int
    first_token_p50: float | None
    first_token_p95: float | None
    latency_p50: float | None
    latency_p95: float | None
    latency_p99: float | None
    searched: int
    hit_rate: float | None
    error_rate: float | None
    cost_per_conversation: float | None


@dataclass(frozen=True, slots=True)
class Thumbs:
    """How many ratings there are, and what share of them is up."""

    rated: int
    up_share: float | None


@dataclass(frozen=True, slots=True)
class StepThumbs:
    """How many ratings the turns of a step have, and how many of them are up."""

    step: int
    rated: int
    up: int


def totals(ledger: Rows, window: Window) -> Totals:
    """How much, how fast, how good and how dear were the turns of a window?

    A turn without a model call costs nothing; a turn whose model has no known price is
    `unpriced` and left out of the cost.
    """
    [row] = ledger.rows(
        """
        select count(*) as turns,
               count(distinct conversation_id) as conversations,
               percentile_cont(0.50) within group (order by first_token_seconds) as first_token_p50,
               percentile_cont(0.95) within group (order by first_token_seconds) as first_token_p95,
               percentile_cont(0.95) within group (order by seconds) as latency_p95,
               count(hit) as searched,
               avg(case when hit is null then null when hit then 1.0 else 0.0 end) as hit_rate,
               avg(case when outcome = any($errors) then 1.0 else 0.0 end) as error_rate,
               sum(cost_usd) as cost_usd,
               count(*) filter (where cost_usd is null and attempts > 0) as unpriced
        from turns
        where started_at >= $since and started_at < $until and door = any($doors)
        """,
        errors=list(ERRORS),
        **window.bound,
    )
    return Totals(**row)


def cost_per_conversation(ledger: Rows, window: Window) -> ConversationCost:
    """What did a conversation cost on average, over the conversations whose price is known?"""
    if window.long:
        return rolled.cost_per_conversation(ledger, window.hours)
    [row] = ledger.rows(
        """
        select avg(cost_usd) as cost_usd, count(*) as conversations
        from (
            select conversation_id, coalesce(sum(cost_usd), 0) as cost_usd
            from turns
            where started_at >= $since and started_at < $until and door = any($doors)
            group by conversation_id
            having count(*) filter (where cost_usd is null and attempts > 0) = 0
        ) as priced
        """,
        **window.bound,
    )
    return ConversationCost(**row)


def thumbs(ledger: Rows, window: Window) -> Thumbs:
    """How many ratings did users give, and what share of them up? Each user's last word counts."""
    [row] = ledger.rows(
        """
        select count(*) as rated, avg(case when scores.value > 0 then 1.0 else 0.0 end) as up_share
        from scores
        join turns on turns.turn_id = scores.turn_id
        where scores.name = 'feedback' and scores.value is not null
          and scores.turn_id >= $first and scores.turn_id <= $last
          and turns.started_at >= $since and turns.started_at < $until and turns.door = any($doors)
        """,
        **window.bound,
        **ends(ledger, window.since, window.until),
    )
    return Thumbs(**row)


def series(ledger: Rows, window: Window, step_seconds: int) -> list[StepTotals]:
    """How did a window go, step by step? `step` counts from the window's begin; empty steps are absent."""
    rows = ledger.rows(
        """
        select cast(floor((extract(epoch from started_at) - $begin) / $step) as integer) as step,
               count(*) as turns,
               percentile_cont(0.50) within group (order by first_token_seconds) as first_token_p50,
               percentile_cont(0.95) within group (order by first_token_seconds) as first_token_p95,
               percentile_cont(0.50) within group (order by seconds) as latency_p50,
               percentile_cont(0.95) within group (order by seconds) as latency_p95,
               percentile_cont(0.99) within group (order by seconds) as latency_p99,
               count(hit) as searched,
               avg(case when hit is null then null when hit then 1.0 else 0.0 end) as hit_rate,
               avg(case when outcome = any($errors) then 1.0 else 0.0 end) as error_rate,
               sum(cost_usd) / count(distinct conversation_id) as cost_per_conversation
        from turns
        where started_at >= $since and started_at < $until and door = any($doors)
        group by 1
        order by 1
        """,
        begin=window.since.timestamp(),
        step=step_seconds,
        errors=list(ERRORS),
        **window.bound,
    )
    return [StepTotals(**row) for row in rows]


def thumbs_series(ledger: Rows, window: Window, step_seconds: int) -> list[StepThumbs]:
    """How many ratings were given to the turns of each step, and how many of them up?"""
    rows = ledger.rows(
        """
        select cast(floor((extract(epoch from turns.started_at) - $begin) / $step) as integer) as step,
               count(*) as rated, count(*) filter (where scores.value > 0) as up
        from scores
        join turns on turns.turn_id = scores.turn_id
        where scores.name = 'feedback' and scores.value is not null
          and scores.turn_id >= $first and scores.turn_id <= $last
          and turns.started_at >= $since and turns.started_at < $until and turns.door = any($doors)
        group by 1
        order by 1
        """,
        begin=window.since.timestamp(),
        step=step_seconds,
        **window.bound,
        **ends(ledger, window.since, window.until),
    )
    return [StepThumbs(**row) for row in rows]


def cost_by_model(ledger: Rows, window: Window, step_seconds: int) -> list[StepCost]:
    """What did each model cost, step by step, and how many of its calls have no known price?"""
    if window.long:
        return rolled.cost_by_model(ledger, window.hours, step_seconds)
    rows = ledger.rows(
        """
        select cast(floor((extract(epoch from turns.started_at) - $begin) / $step) as integer) as step,
               usages.model as model,
               sum(usages.cost_usd) as cost_usd,
               count(*) filter (where usages.cost_usd is null) as unpriced
        from usages
        join turns on turns.turn_id = usages.turn_id
        where usages.turn_id >= $first and usages.turn_id <= $last
          and turns.started_at >= $since and turns.started_at < $until and turns.door = any($doors)
        group by 1, 2
        order by 1, 2
        """,
        begin=window.since.timestamp(),
        step=step_seconds,
        **window.bound,
        **ends(ledger, window.since, window.until),
    )
    return [StepCost(**row) for row in rows]


def outcomes(ledger: Rows, window: Window) -> dict[str, int]:
    """How did the turns of a window end, most frequent first?"""
    rows = ledger.rows(
        """
        select outcome, count(*) as turns
        from turns
        where started_at >= $since and started_at < $until and door = any($doors)
        group by outcome
        order by turns desc, outcome
        """,
        **window.bound,
    )
    return {row["outcome"]: row["turns"] for row in rows}


def newest(ledger: Rows) -> datetime | None:
    """When did the newest recorded turn of any door begin?"""
    return ledger.rows("select max(started_at) as newest from turns")[0]["newest"]


def workspaces(ledger: Rows) -> list[str]:
    """Of which workspaces are there turns?"""
    rows = ledger.rows("select workspace from hourly_talks group by workspace order by workspace")
    return [row["workspace"] for row in rows]


def models(ledger: Rows) -> list[str]:
    """Which models ever answered, in the order they first appeared?"""
    rows = ledger.rows(
        """
        select model, min(first_turn) as first_turn
        from hourly_models
        group by model
        order by first_turn, model
        """
    )
    return [row["model"] for row in rows]
