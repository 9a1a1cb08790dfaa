"""The only place of the console that reads the ledger: one opening of the store a refresh, then cached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import streamlit as st

from console.dashboard import filters, installed, readiness, whose
from console.dashboard.installed import Problem
from evalsets.cases import from_turn
from evalsets.cases.cases import list_sets
from evalsets.metrics import columns
from evalsets.metrics.columns import Column, Summary
from evalsets.reports import findings
from evalsets.reports.compare import Comparison, NothingInCommon, compare_runs
from evalsets.reports.content import ComparisonReport, RunReport
from pipeline import build, shelving
from pipeline.settings import Settings
from traces.errors import StoreBusy, StoreDamaged, StoreError, StoreVersion
from traces.journal import Journal
from traces.queries import costs, listing, overview, reviews, runs, versions
from traces.queries.board import BoardStep, Whole, board
from traces.queries.costs import Calls, DayCost, ResolvedCost, RouteCost, UserCost
from traces.queries.listing import Choices, Filter, TurnRow
from traces.queries.reviews import Queue, TurnReview, WaitingTurn
from traces.queries.rolled import StepCost
from traces.queries.runs import RunCase
from traces.queries.turns import trace
from traces.queries.versions import Live
from traces.queries.window import Window
from traces.records import Run, Score, Trace
from traces.store import Ledger, StoreHealth

FRESH_SECONDS = 2  # how long a page may show what it read before
PAGE_SIZE = 25
STEPS = {
    StoreBusy: "It frees itself within seconds, then reload the page; where another program has opened "
    "the file, close that one.",
    StoreDamaged: "Nothing is lost: the drainer sets the file aside and rebuilds it from the journal. "
    "If nothing drains, run `answerdeck traces drain`.",
    StoreVersion: "`answerdeck traces drain` brings an older one up to date; for a newer one, install the "
    "version of Answerdeck that wrote it.",
}


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the Overview shows of a window."""

    window: Window
    step: timedelta
    now: Whole
    before: Whole
    series: list[BoardStep]
    cost: list[StepCost]
    outcomes: dict[str, int]
    models: list[str]
    notes: list[str]
    newest: datetime | None

    @property
    def times(self) -> list[datetime]:
        """When each step of the window begins."""
        steps = -(-self.window.length // self.step)
        return [self.window.since + self.step * number for number in range(steps)]

    def column(self, name: str) -> list[Any]:
        """Return a column of the series, one value a step; None where nothing happened."""
        values: list[Any] = [None] * len(self.times)
        for row in self.series:
            values[row.step] = getattr(row, name)
        return values


@dataclass(frozen=True, slots=True)
class TurnPage:
    """A page of turns, how many match in all, and every model in order of first use."""

    rows: list[TurnRow]
    matching: int
    more: bool  # older turns with the words that were searched for were left out
    models: list[str]
    newest: datetime | None


def settings() -> Settings:
    """Return the configuration for the workspace that is looked at; raises Problem."""
    return installed.settings(whose.own())


@contextmanager
def ledger() -> Iterator[Ledger]:
    """Open the ledger for one refresh, of the workspace that is looked at; raises Problem."""
    try:
        with build.store(settings()).read(workspace=whose.seen()) as opened:
            yield opened
    except StoreError as error:
        step = STEPS.get(type(error), "Run `answerdeck doctor` to see what is wrong.")
        raise Problem(f"The trace store cannot be read: {error}.", step) from error
    except OSError as error:
        raise Problem(f"The data folder cannot be read: {error}.", "Check ANSWERDECK_DATA_DIR.") from error


def check_ledger() -> None:
    """Read a little of the ledger; raises Problem where that fails, as it would on every page."""
    with ledger() as opened:
        now = datetime.now(UTC)
        listing.look(opened, Filter(now - timedelta(days=30), now), 1, 0)


@whose.cached(ttl=FRESH_SECONDS, max_entries=50, show_spinner=False)
def read_overview(range_name: str, door: str) -> Overview:
    """Return what the Overview shows for a range and a door."""
    window, step = filters.window(range_name, door), filters.step(range_name)
    seconds = int(step.total_seconds())
    with ledger() as opened:
        seen = board(opened, window, seconds)
        return Overview(
            window=window,
            step=step,
            now=seen.now,
            before=seen.before,
            series=seen.series,
            outcomes=seen.outcomes,
            cost=overview.cost_by_model(opened, window, seconds),
            models=overview.models(opened),
            notes=[
                *readiness.notes(settings().server.port),
                *_notes(build.store(settings()).health(), opened.hidden_bytes),
            ],
            newest=overview.newest(opened),
        )


@whose.cached(ttl=FRESH_SECONDS, max_entries=100, show_spinner=False)
def read_listing(which: Filter, page: int) -> TurnPage:
    """Return a page of the turns that match, newest first."""
    with ledger() as opened:
        looked = listing.look(opened, which, PAGE_SIZE, (page - 1) * PAGE_SIZE)
        models, newest = overview.models(opened), overview.newest(opened)
        return TurnPage(looked.rows, looked.matching, looked.more, models, newest)


@whose.cached(ttl=60, max_entries=20, show_spinner=False)
def choices(range_name: str) -> Choices:
    """Return the models and prompts seen in a range, for the filters."""
    window = filters.window(range_name, "all")
    with ledger() as opened:
        return listing.choices(opened, window.since, window.until)


@whose.cached(ttl=60, max_entries=1, show_spinner=False)
def models() -> list[str]:
    """Return all models ever used, in order of first use."""
    with ledger() as opened:
        return overview.models(opened)


def find_turns(part: str) -> list[str]:
    """Return the ids that begin or end with `part`, newest first, ten at most."""
    with ledger() as opened:
        return listing.named(opened, part)


@whose.cached(ttl=FRESH_SECONDS, max_entries=50, show_spinner=False)
def read_turn(turn_id: str) -> tuple[Trace, list[str], list[str]] | None:
    """Return a turn with all that is recorded of it, the ids of its conversation's turns, and the models."""
    with ledger() as opened:
        turn = trace(opened, turn_id)
        if turn is None:
            return None
        conversation = listing.conversation(opened, turn.turn.conversation_id, turn.turn.started_at)
        return turn, conversation, overview.models(opened)


@dataclass(frozen=True, slots=True)
class WindowSpending:
    """What was spent in a window, and on people's turns."""

    by_day: list[DayCost]
    models: list[str]
    users: list[UserCost]
    resolved: ResolvedCost
    per_conversation: float | None
    routes: list[RouteCost]


def read_spending(window: Window, people: Window) -> WindowSpending:
    """Return what each day and model of a window cost, and what people's turns came to."""
    with ledger() as opened:
        return WindowSpending(
            by_day=costs.by_day(opened, window),
            models=overview.models(opened),
            users=costs.users(opened, people),
            resolved=costs.resolved(opened, people),
            per_conversation=overview.cost_per_conversation(opened, people).cost_usd,
            routes=costs.routes(opened, people),
        )


def read_calls(window: Window) -> list[Calls]:
    """Return the calls of the newest conversations."""
    with ledger() as opened:
        return costs.calls(opened, window)


def read_trace(turn_id: str) -> Trace | None:
    """Return all that is recorded of a turn now; None when it is gone."""
    with ledger() as opened:
        return trace(opened, turn_id)


def read_earlier(turn: Trace) -> list[Trace]:
    """Return what was asked in a conversation before a turn, oldest first."""
    with ledger() as opened:
        return from_turn.earlier(opened, turn)


def read_queue(which: Queue, reviewer: str, doors: tuple[str, ...]) -> list[WaitingTurn]:
    """Return the turns that wait for a reviewer."""
    with ledger() as opened:
        return reviews.queue(opened, which, reviewer=reviewer, doors=doors)


def read_grades() -> list[TurnReview]:
    """Return what all reviewers said."""
    with ledger() as opened:
        return reviews.given(opened)


def read_live(name: str, since: datetime) -> dict[str, Live]:
    """Return what each version of a prompt did on live traffic since a moment, by label."""
    with ledger() as opened:
        return {row.prompt: row for row in versions.live(opened, name, since, datetime.now(UTC))}


def write(score: Score) -> None:
    """Record a score that somebody gave in the console."""
    _journal(settings().data_dir).write(score)


@st.cache_resource
def _journal(data_dir: Path) -> Journal:
    return build.journal(settings())


def _notes(health: StoreHealth, hidden_bytes: int) -> list[str]:
    """Say what keeps the ledger from being whole, and what to do about it."""
    notes: list[str] = []
    if health.trouble:
        notes.append(f"Turns are kept in the journal but cannot be moved into the store: {health.trouble}")
    if hidden_bytes:
        size = f"{hidden_bytes / 1e6:,.0f} MB"
        notes.append(
            f"{size} of older turns are not in these numbers yet: they wait in the journal. "
            "They come in while `answerdeck up` runs; `answerdeck traces drain` brings them in now."
        )
    if health.damaged_lines:
        notes.append(
            f"{health.damaged_lines:,} damaged journal lines were put aside; `answerdeck doctor` says where."
        )
    return notes


@dataclass(frozen=True, slots=True)
class RunScores:
    """A run, the summary of each of its metrics, and the columns behind them."""

    run: Run
    columns: dict[str, Column]
    summary: dict[str, Summary]


def read_runs(evalset: str | None = None, limit: int = 100) -> list[Run]:
    """Return the eval runs as they stand now, newest first."""
    with ledger() as opened:
        return runs.runs(opened, evalset=evalset, limit=limit)


@whose.cached(ttl=10, max_entries=50, show_spinner=False)
def read_means(evalset: str, metric: str) -> dict[str, Summary]:
    """Return {run: its mean with interval and n} of a metric, over the finished runs of an evalset."""
    with ledger() as opened:
        by_run = runs.history(opened, evalset, metric)
    means = {
        run_id: columns.summary(columns.columns(scores)).get(metric) for run_id, scores in by_run.items()
    }
    return {run_id: mean for run_id, mean in means.items() if mean is not None and mean.mean is not None}


@whose.cached(ttl=10, max_entries=50, show_spinner=False)
def metrics(evalset: str) -> list[str]:
    """Return what the finished runs of an evalset were scored on."""
    with ledger() as opened:
        return runs.metrics(opened, evalset)


def read_scores(run: Run, names: tuple[str, ...] | None = None) -> RunScores:
    """Return a run with its metrics, summed up for `names` only; a finished run is computed once."""
    return _scores(run.run_id, judged_state(run), names, run)


def judged_state(run: Run) -> str:
    """Return what tells the states of a run apart, a finished one that was judged later too."""
    return f"{run.state} {run.done} {sorted(run.settings.judges.items())}"


@whose.cached(max_entries=300, show_spinner=False)
def _scores(run_id: str, state: str, names: tuple[str, ...] | None, _run: Run) -> RunScores:
    with ledger() as opened:
        scored = columns.columns(runs.scores_of(opened, run_id))
    shown = scored if names is None else {name: scored[name] for name in names if name in scored}
    return RunScores(_run, scored, columns.summary(shown, _run.seed or 0))


@whose.cached(ttl=60, max_entries=20, show_spinner=False)
def read_cases(run_id: str) -> dict[str, RunCase]:
    """Return the cases of a run by id, each with its answer."""
    with ledger() as opened:
        return {case.case_id: case for case in runs.cases_of(opened, run_id)}


@whose.cached(ttl=10, show_spinner=False)
def evalsets() -> dict[str, int]:
    """Return the evalsets, shipped and the team's own, and how many cases each has."""
    return {row.name: row.cases for row in list_sets(settings().own.evalsets) if not row.problem}


@whose.cached(ttl=10, show_spinner=False)
def unreadable() -> dict[str, str]:
    """Return the evalsets that cannot be used, each with its first problem."""
    return {row.name: row.problem for row in list_sets(settings().own.evalsets) if row.problem}


def prompts() -> list[str]:
    """Return the versions of the answer prompt, the one in force first, then the newest."""
    in_force = shelving.force(settings()).label("answer")
    versions = shelving.library(settings()).versions()
    labels = [version.label for version in versions if version.name == "answer"]
    return [in_force, *(label for label in reversed(labels) if label != in_force)]


def known_models() -> list[str]:
    """Return the models to choose from: configured ones first, then those of the ledger."""
    configured = [settings().models.primary, settings().models.fallback, "extractive"]
    return list(dict.fromkeys([name for name in configured if name] + models()))


@whose.cached(max_entries=100, ttl=300, show_spinner=False)
def compare(baseline: str, candidate: str, states: tuple[str, str]) -> Comparison:
    """Return a run against a baseline; `states` tells what was scored since apart."""
    with ledger() as opened:
        try:
            return compare_runs(opened, baseline, candidate)
        except NothingInCommon as error:
            raise Problem(
                f"These runs cannot be compared: {error}", "Choose runs of the same evalset."
            ) from None


def report_of_run(run_id: str) -> RunReport:
    """Return what the report of a run says."""
    with ledger() as opened:
        return findings.of_run(opened, run_id)


def report_of_comparison(baseline: str, candidate: str) -> ComparisonReport:
    """Return what the report of a comparison says."""
    with ledger() as opened:
        return findings.of_comparison(
            opened, compare_runs(opened, baseline, candidate), shelving.library(settings())
        )
