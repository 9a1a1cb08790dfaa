"""Asks recorded turns again under a candidate, through the whole pipeline, and says which became better."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from evalsets.cases.evalset import Evalset, EvalsetError, fingerprint
from evalsets.metrics import replayed, stats, timing
from evalsets.metrics.metric import Measured, skipped
from evalsets.metrics.replayed import support
from evalsets.metrics.scores import score_of
from evalsets.metrics.table import measure, metrics_of
from evalsets.reports.compare import Difference, compare_runs
from evalsets.runs import runner
from evalsets.runs.runner import Progress, Variant
from pipeline.context.reach import Reach
from pipeline.events import Event, Question
from pipeline.models.model import Tokens
from pipeline.models.prices import Prices
from traces.ids import uuid7
from traces.queries import runs, traffic
from traces.queries.runs import RunCase
from traces.queries.traffic import RecordedExchange
from traces.queries.turns import traces
from traces.records import Case, Run, RunSettings, Trace, Turn

if TYPE_CHECKING:
    from pipeline.turn import Pipeline
    from traces.ledger import Ledger

NAME = "replay"
COMPLETED = timing.COMPLETED.name
RECORDED = "as recorded"
SCORER = "replay@1"
ORDER: tuple[Change, ...] = ("worse", "better", "outage", "same")
BOTH_WAYS: tuple[Change, ...] = ("better", "worse")
STEP = 0.1  # a smaller change of support is the same answer in other words
Change = Literal["better", "worse", "same", "outage"]  # "outage": there is no answer to compare with


@dataclass(frozen=True, slots=True)
class Flip:
    """A turn that became better or worse, or was asked in an outage, and why."""

    turn_id: str
    replayed_id: str | None
    question: str
    change: Change
    reason: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class ReplayEstimate:
    """What a replay will cost, from the tokens the turns took; None is unknown."""

    turns: int
    usd: float | None


@dataclass(frozen=True, slots=True)
class ShareInterval:
    """The 95 % interval of a share."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Spent:
    """What turns cost and how long they took; a cost is None when any of them is unpriced."""

    turns: int
    cost_usd: float | None
    usd_per_1000_turns: float | None
    p50_seconds: float | None
    p95_seconds: float | None


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a replay."""

    run_id: str
    baseline_run_id: str
    turns: int
    counts: Mapping[Change, int]
    intervals: Mapping[Change, ShareInterval]  # of the turns that became better and worse
    sentence: str
    metrics: Mapping[str, Difference]
    before: Spent
    after: Spent
    flips: tuple[Flip, ...]  # all but the same, the worse ones first

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        return {
            "run_id": self.run_id,
            "baseline_run_id": self.baseline_run_id,
            "turns": self.turns,
            **self.counts,
            "intervals": {change: asdict(share) for change, share in self.intervals.items()},
            "sentence": self.sentence,
            "metrics": {name: asdict(row) for name, row in self.metrics.items()},
            "before": asdict(self.before),
            "after": asdict(self.after),
            "flips": [asdict(flip) for flip in self.flips],
        }


class Replaying:
    """A pipeline whose eval turns come in by the door of replays, so that nothing counts as production."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.rules, self.force = pipeline.rules, pipeline.force
        self.journal, self.store = pipeline.journal, pipeline.store
        self._pipeline = pipeline

    def answer(self, question: Question) -> AsyncGenerator[Event]:
        """Answer as the pipeline does."""
        return self._pipeline.answer(replace(question, door="replay", user_id="replay"))

    async def retrieve(self, question: Question) -> Trace:
        """Retrieve as the pipeline does."""
        return await self._pipeline.retrieve(replace(question, door="replay", user_id="replay"))


def recorded(
    ledger: Ledger,
    kb: str,
    since: datetime,
    until: datetime,
    *,
    reach: Reach,
    limit: int | None = None,
    seed: int = 0,
) -> Evalset:
    """Return the turns of a period as cases, each with what was said before it; raises EvalsetError if none.

    A case has the id of its turn; `reach` is how far memory goes back. `limit` takes a seeded choice.
    """
    turns = traffic.exchanges(ledger, kb, since, until)
    conversations = traffic.conversations(ledger, sorted({turn.conversation_id for turn in turns}))
    cases = tuple(
        Case(
            "",
            turn.turn_id,
            turn.question,
            history=_history(turn, conversations[turn.conversation_id], reach) or None,
        )
        for turn in turns
        if turn.question.strip()
    )
    if not cases:
        raise EvalsetError(
            [f"nobody asked knowledge base {kb!r} anything between {since:%Y-%m-%d %H:%M} and now"]
        )
    days = round((until - since).total_seconds() / 86_400, 3)
    whole = Evalset(NAME, fingerprint(cases), cases, title=f"Turns of the last {days:g} days")
    chosen = whole.some(limit, seed)
    return replace(chosen, fingerprint=fingerprint(chosen.cases))


def recorded_history(ledger: Ledger, trace: Trace, reach: Reach) -> list[dict[str, str]]:
    """Return what was said before a turn, as memory would have recalled it."""
    turn = trace.turn
    exchanges = traffic.conversations(ledger, [turn.conversation_id]).get(turn.conversation_id, [])
    return _history(turn, exchanges, reach)


def again(ledger: Ledger, run_id: str) -> Evalset:
    """Return the cases of a replay that was begun, so that it can go on."""
    cases = tuple(
        Case("", case.case_id, case.question, history=case.history) for case in runs.cases_of(ledger, run_id)
    )
    run = runs.run(ledger, run_id)
    return Evalset(NAME, run.evalset_fingerprint, cases, title=run.settings.title or NAME)


def expected(ledger: Ledger, turn_ids: Sequence[str], model: str, prices: Prices) -> ReplayEstimate:
    """Return what asking recorded turns again will cost with a model, from the tokens they took before."""
    turns = traces(ledger, turn_ids)
    usages = [usage for trace in turns for usage in trace.usages if usage.input_tokens is not None]
    if not usages:
        return ReplayEstimate(len(turn_ids), prices.cost(model, Tokens()).usd)
    costs = [prices.cost(model, Tokens(usage.input_tokens, usage.output_tokens)).usd for usage in usages]
    measured = [cost for cost in costs if cost is not None]
    usd = sum(measured) / len(turns) * len(turn_ids) if len(measured) == len(costs) else None
    return ReplayEstimate(len(turn_ids), usd)


def baseline(pipeline: Pipeline, evalset: Evalset) -> str:
    """Record how the turns went when they were asked, as a finished run; return its id.

    The scores stand on the turns themselves, so that comparison and reports work on both sides.
    """
    pipeline.store.drain()
    with pipeline.store.read() as ledger:
        turns = {
            trace.turn.turn_id: trace for trace in traces(ledger, [case.case_id for case in evalset.cases])
        }
    now = datetime.now(UTC)
    run = Run(
        uuid7(),
        NAME,
        evalset.fingerprint,
        RECORDED,
        "finished",
        now,
        now,
        settings=RunSettings(title=evalset.title, workspace=pipeline.rules.workspace),
        cases=len(evalset.cases),
        done=len(evalset.cases),
        failed=0,
        seed=0,
    )
    metrics = [*metrics_of(evalset, "answer"), *replayed.METRICS, timing.COMPLETED]
    for case in evalset.cases:
        recorded_turn = turns[case.case_id]
        pipeline.journal.write(replace(case, run_id=run.run_id))
        results = list(measure(metrics, case, recorded_turn))
        if (why := replayed.outage(recorded_turn)) is not None:
            results = [
                row if row.name == COMPLETED else replace(skipped(why), name=row.name) for row in results
            ]
        _write(pipeline, run.run_id, case, recorded_turn, results)
    pipeline.journal.write(run)
    return run.run_id


async def replay_turns(
    pipeline: Pipeline,
    evalset: Evalset,
    variant: Variant,
    *,
    run_id: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Replay:
    """Ask all cases under the variant and return what changed; resumable by its id."""
    before = baseline(pipeline, evalset)
    done = await runner.run(
        evalset, variant, Replaying(pipeline), runner.Plan(run_id=run_id, seed=seed), progress=progress
    )
    pipeline.store.drain()
    with pipeline.store.read() as ledger:
        after = _replayed(ledger, done.run_id)
    for case in evalset.cases:
        if case.case_id in after:
            _write(
                pipeline,
                done.run_id,
                case,
                after[case.case_id],
                list(measure(replayed.METRICS, case, after[case.case_id])),
            )
    pipeline.store.drain()
    with pipeline.store.read() as ledger:
        return replay_report(ledger, done.run_id, before)


def replay_report(ledger: Ledger, run_id: str, before_id: str) -> Replay:
    """Return what came of a replay: how many turns became better and worse, which, and at what price."""
    cases = runs.cases_of(ledger, run_id)
    before = {trace.turn.turn_id: trace for trace in traces(ledger, [case.case_id for case in cases])}
    after = _replayed(ledger, run_id)
    flips = [_flip(case, before[case.case_id], after.get(case.case_id)) for case in cases]
    counts: dict[Change, int] = {change: sum(flip.change == change for flip in flips) for change in ORDER}
    compared = len(flips) - counts["outage"]
    shares: dict[Change, ShareInterval] = {
        change: ShareInterval(*stats.wilson(counts[change] / compared, compared))
        for change in BOTH_WAYS
        if compared
    }
    comparison = compare_runs(ledger, before_id, run_id)
    moved = sorted(
        (flip for flip in flips if flip.change != "same"), key=lambda flip: ORDER.index(flip.change)
    )
    return Replay(
        run_id=run_id,
        baseline_run_id=before_id,
        turns=len(flips),
        counts=counts,
        intervals=shares,
        sentence=comparison.sentence,
        metrics={row.metric: row for row in comparison.differences},
        before=_spent(list(before.values())),
        after=_spent(list(after.values())),
        flips=tuple(moved),
    )


def _flip(case: RunCase, before: Trace, after: Trace | None) -> Flip:
    """Say whether a turn became better: by support, and by the hit of its search where that is equal."""
    key = (case.case_id, after.turn.turn_id if after else None, case.question)
    answers = (before.turn.answer, after.turn.answer if after else None)
    if (why := replayed.outage(before)) is not None:
        return Flip(*key, "outage", why, *answers)
    if after is None:
        return Flip(*key, "worse", "the replay gave no turn", *answers)
    (was, why_was), (now, why_now) = support(before), support(after)
    change: Change = "same"
    reason = f"{why_was}, now {why_now}"
    if abs(now - was) >= STEP:
        change = "better" if now > was else "worse"
    elif None not in (before.turn.hit, after.turn.hit) and before.turn.hit != after.turn.hit:
        change = "better" if after.turn.hit else "worse"
        reason = "its search hits now" if after.turn.hit else "its search no longer hits"
    return Flip(*key, change, reason, *answers)


def _replayed(ledger: Ledger, run_id: str) -> dict[str, Trace]:
    ids = [turn.turn_id for turn in runs.turns_of(ledger, run_id)]
    return {trace.turn.case_id: trace for trace in traces(ledger, ids) if trace.turn.case_id}


def _spent(turns: Sequence[Trace]) -> Spent:
    """Return what turns cost and how long they took; a cost is None when any of them is unpriced."""
    costs = [trace.turn.cost_usd for trace in turns if trace.turn.attempts]
    measured = [cost for cost in costs if cost is not None]
    usd = sum(measured) if len(measured) == len(costs) else None
    seconds = sorted(trace.turn.seconds for trace in turns if trace.turn.seconds is not None)
    return Spent(
        turns=len(turns),
        cost_usd=usd,
        usd_per_1000_turns=None if usd is None or not turns else usd / len(turns) * 1000,
        p50_seconds=seconds[len(seconds) // 2] if seconds else None,
        p95_seconds=seconds[min(int(len(seconds) * 0.95), len(seconds) - 1)] if seconds else None,
    )


def _history(
    turn: RecordedExchange | Turn, exchanges: Sequence[RecordedExchange], reach: Reach
) -> list[dict[str, str]]:
    """Return what memory would have recalled: the turns before this one, as far as it goes back."""
    at = (turn.started_at, turn.turn_id)
    earlier = [exchange for exchange in exchanges if (exchange.started_at, exchange.turn_id) < at]
    pairs = [(exchange.question, exchange.answer or "") for exchange in reversed(earlier)]
    return [{"role": message.role, "text": message.text} for message in reach.within(pairs)]


def _write(pipeline: Pipeline, run_id: str, case: Case, trace: Trace, results: Sequence[Measured]) -> None:
    for measured in results:
        pipeline.journal.write(score_of(measured, trace.turn.turn_id, run_id, case.case_id, scorer=SCORER))
