"""Asks recorded turns again under a candidate, through the whole pipeline, and says which became better."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from evalsets.cases.cases import Evalset, EvalsetError, fingerprint
from evalsets.metrics import answer, stats
from evalsets.metrics.answer import ABSTAINED, BROKEN, Measured
from evalsets.reports.compare import compare
from evalsets.runs import runner
from evalsets.runs.runner import Progress, Variant
from pipeline.events import Event, Question
from pipeline.models.model import Tokens
from pipeline.models.prices import Prices
from pipeline.models.tokens import estimate
from traces.ids import uuid7
from traces.queries import runs, traffic
from traces.queries.turns import traces
from traces.records import Case, Run, Score, Trace

if TYPE_CHECKING:
    from pipeline.turn import Pipeline
    from traces.ledger import Ledger

NAME = "replay"
RECORDED = "as recorded"
SCORER = "replay@1"
HISTORY_TURNS, HISTORY_TOKENS = 6, 1500
STEP = 0.1  # a smaller change of support is the same answer in other words
MONTH_DAYS = 30
Change = Literal["better", "worse", "same"]


@dataclass(frozen=True, slots=True)
class Flip:
    """A turn that became better or worse, and why."""

    turn_id: str
    replayed_id: str | None
    question: str
    change: Change
    reason: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a replay will cost, from the tokens the turns took; None is unknown."""

    turns: int
    usd: float | None


class Replaying:
    """A pipeline whose eval turns come in by the door of replays, so that nothing counts as production."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.rules, self.force = pipeline.rules, pipeline.force
        self.journal, self.store = pipeline.journal, pipeline.store
        self._pipeline = pipeline

    def answer(self, question: Question) -> AsyncIterator[Event]:
        """Answer as the pipeline does."""
        return self._pipeline.answer(replace(question, door="replay", user_id="replay"))

    async def retrieve(self, question: Question) -> Trace:
        """Retrieve as the pipeline does."""
        return await self._pipeline.retrieve(replace(question, door="replay", user_id="replay"))


def recorded(
    ledger: Ledger, kb: str, since: datetime, until: datetime, *, limit: int | None = None, seed: int = 0
) -> Evalset:
    """Return the turns of a period as cases, each with what was said before it; raises EvalsetError if none.

    A case has the id of its turn. `limit` takes a seeded choice.
    """
    rows = traffic.asked(ledger, kb, since, until)
    said = traffic.conversations(ledger, sorted({row["conversation_id"] for row in rows}))
    cases = tuple(
        Case("", row["turn_id"], row["question"], history=_history(row, said[row["conversation_id"]]) or None)
        for row in rows
        if row["question"].strip()
    )
    if not cases:
        raise EvalsetError(
            [f"nobody asked knowledge base {kb!r} anything between {since:%Y-%m-%d %H:%M} and now"]
        )
    days = round((until - since).total_seconds() / 86_400, 3)
    whole = Evalset(NAME, fingerprint(cases), cases, title=f"Turns of the last {days:g} days")
    chosen = whole.some(limit, seed)
    return replace(chosen, fingerprint=fingerprint(chosen.cases))


def recorded_history(ledger: Ledger, one: Trace) -> list[dict[str, str]]:
    """Return what was said before a turn, as memory would have recalled it."""
    turn = one.turn
    said = traffic.conversations(ledger, [turn.conversation_id]).get(turn.conversation_id, [])
    return _history({"started_at": turn.started_at, "turn_id": turn.turn_id}, said)


def again(ledger: Ledger, run_id: str) -> Evalset:
    """Return the cases of a replay that was begun, so that it can go on."""
    cases = tuple(
        Case("", row["case_id"], row["question"], history=row["history"])
        for row in runs.cases_of(ledger, run_id)
    )
    row = runs.run(ledger, run_id)
    title = (row["settings"] or {}).get("title") or NAME
    return Evalset(NAME, row["evalset_fingerprint"], cases, title=title)


def expected(ledger: Ledger, evalset: Evalset, model: str, prices: Prices) -> Estimate:
    """Return what the cases will cost with a model, from the tokens they took before."""
    found = traces(ledger, [case.case_id for case in evalset.cases])
    usages = [usage for one in found for usage in one.usages if usage.input_tokens is not None]
    if not usages:
        return Estimate(len(evalset.cases), prices.cost(model, Tokens()).usd)
    costs = [prices.cost(model, Tokens(usage.input_tokens, usage.output_tokens)).usd for usage in usages]
    known = [cost for cost in costs if cost is not None]
    usd = sum(known) / len(found) * len(evalset.cases) if len(known) == len(costs) else None
    return Estimate(len(evalset.cases), usd)


def baseline(pipeline: Pipeline, evalset: Evalset) -> str:
    """Record how the turns went when they were asked, as a finished run; return its id.

    The scores stand on the turns themselves, so that comparison and reports work on both sides.
    """
    pipeline.store.drain()
    with pipeline.store.read() as ledger:
        found = {one.turn.turn_id: one for one in traces(ledger, [case.case_id for case in evalset.cases])}
    now = datetime.now(UTC)
    run = Run(
        uuid7(),
        NAME,
        evalset.fingerprint,
        RECORDED,
        "finished",
        now,
        now,
        settings={"title": evalset.title},
        cases=len(evalset.cases),
        done=len(evalset.cases),
        failed=0,
        seed=0,
    )
    for case in evalset.cases:
        one = found[case.case_id]
        pipeline.journal.write(replace(case, run_id=run.run_id))
        ended = Measured("completed", float(one.turn.outcome not in BROKEN), one.turn.outcome)
        _write(pipeline, run.run_id, case, one, [*answer.answer(case, one), *extra(one), ended])
    pipeline.journal.write(run)
    return run.run_id


async def replay(
    pipeline: Pipeline,
    evalset: Evalset,
    variant: Variant,
    *,
    run_id: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Ask all cases under the variant and return the JSON of what changed; resumable by its id."""
    before = baseline(pipeline, evalset)
    done = await runner.run(
        evalset, variant, Replaying(pipeline), run_id=run_id, seed=seed, progress=progress
    )
    pipeline.store.drain()
    with pipeline.store.read() as ledger:
        after = _replayed(ledger, done["run_id"])
    for case in evalset.cases:
        if case.case_id in after:
            _write(pipeline, done["run_id"], case, after[case.case_id], list(extra(after[case.case_id])))
    pipeline.store.drain()
    with pipeline.store.read() as ledger:
        return told(ledger, done["run_id"], before)


def told(ledger: Ledger, run_id: str, before_id: str) -> dict[str, Any]:
    """Return the JSON of a replay: how many turns became better and worse, which, and at what price."""
    cases = runs.cases_of(ledger, run_id)
    before = {one.turn.turn_id: one for one in traces(ledger, [row["case_id"] for row in cases])}
    after = _replayed(ledger, run_id)
    flips = [_flip(row, before[row["case_id"]], after.get(row["case_id"])) for row in cases]
    counts = {change: sum(flip.change == change for flip in flips) for change in ("better", "worse", "same")}
    shares = {
        change: dict(zip(("low", "high"), stats.wilson(count / len(flips), len(flips)), strict=True))
        for change, count in counts.items()
        if change != "same"
    }
    comparison = compare(ledger, before_id, run_id)
    moved = sorted(
        (flip for flip in flips if flip.change != "same"), key=lambda flip: flip.change == "better"
    )
    return {
        "run_id": run_id,
        "baseline_run_id": before_id,
        "turns": len(flips),
        **counts,
        "intervals": shares,
        "sentence": comparison.sentence,
        "metrics": comparison.to_dict()["metrics"],
        "before": _spent(list(before.values())),
        "after": _spent(list(after.values())),
        "flips": [asdict(flip) for flip in moved],
    }


def extra(one: Trace) -> list[Measured]:
    """Score a turn without knowing the right answer: how well what it said is supported, and its hit."""
    hit = one.turn.hit
    found = Measured(
        "hit", None if hit is None else float(hit), "no search was made" if hit is None else None
    )
    return [Measured("support", *support(one)), found]


def support(one: Trace) -> tuple[float, str]:
    """Return how well the answer is supported, 0 to 1, and why.

    Nothing for a broken turn, the groundedness of an answer, and a half for an abstention: it
    misleads nobody and helps nobody.
    """
    turn = one.turn
    if turn.outcome in BROKEN:
        return 0.0, f"the turn was {turn.outcome}"
    if turn.outcome in ABSTAINED:
        return 0.5, "no answer was given"
    scores = [score for score in one.scores if score.name == "groundedness" and score.value is not None]
    online = next((score for score in scores if score.source == "online"), None)
    if online is None or online.value is None:
        return 0.5, "the answer states nothing that can be checked"
    return online.value, f"grounded {online.value:.2f}"


def _flip(case: Mapping[str, Any], before: Trace, after: Trace | None) -> Flip:
    """Say whether a turn became better: by support, and by the hit of its search where that is equal."""
    asked = (case["case_id"], after.turn.turn_id if after else None, case["question"])
    answers = (before.turn.answer, after.turn.answer if after else None)
    if after is None:
        return Flip(*asked, "worse", "the replay gave no turn", *answers)
    (was, why_was), (now, why_now) = support(before), support(after)
    change: Change = "same"
    reason = f"{why_was}, now {why_now}"
    if abs(now - was) >= STEP:
        change = "better" if now > was else "worse"
    elif None not in (before.turn.hit, after.turn.hit) and before.turn.hit != after.turn.hit:
        change = "better" if after.turn.hit else "worse"
        reason = "its search hits now" if after.turn.hit else "its search no longer hits"
    return Flip(*asked, change, reason, *answers)


def _replayed(ledger: Ledger, run_id: str) -> dict[str, Trace]:
    ids = [turn["turn_id"] for turn in runs.turns_of(ledger, run_id)]
    return {one.turn.case_id: one for one in traces(ledger, ids) if one.turn.case_id}  # type: ignore[arg-type]


def _spent(found: Sequence[Trace]) -> dict[str, Any]:
    """Return what turns cost and how long they took; a cost is None when any of them is unpriced."""
    costs = [one.turn.cost_usd for one in found if one.turn.attempts]
    known = [cost for cost in costs if cost is not None]
    usd = sum(known) if len(known) == len(costs) else None
    seconds = sorted(one.turn.seconds for one in found if one.turn.seconds is not None)
    return {
        "turns": len(found),
        "cost_usd": usd,
        "usd_per_1000_turns": None if usd is None or not found else usd / len(found) * 1000,
        "p50_seconds": seconds[len(seconds) // 2] if seconds else None,
        "p95_seconds": seconds[min(int(len(seconds) * 0.95), len(seconds) - 1)] if seconds else None,
    }


def _history(row: Mapping[str, Any], said: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return what memory would have recalled: the turns before this one, within its budget."""
    earlier = [
        one for one in said if (one["started_at"], one["turn_id"]) < (row["started_at"], row["turn_id"])
    ]
    messages: list[dict[str, str]] = []
    budget = HISTORY_TOKENS
    for one in reversed(earlier[-HISTORY_TURNS:]):
        budget -= estimate(one["question"]) + estimate(one["answer"] or "")
        if budget < 0:
            break
        messages = [
            {"role": "user", "text": one["question"]},
            {"role": "assistant", "text": one["answer"] or ""},
            *messages,
        ]
    return messages


def _write(pipeline: Pipeline, run_id: str, case: Case, one: Trace, measured: Sequence[Measured]) -> None:
    for score in measured:
        pipeline.journal.write(
            Score(
                score_id=uuid7(),
                turn_id=one.turn.turn_id,
                name=score.name,
                value=score.value,
                source="eval",
                created_at=datetime.now(UTC),
                scorer=SCORER,
                reason=score.reason,
                failed=score.failed,
                run_id=run_id,
                case_id=case.case_id,
            )
        )
