"""What eval runs ask of the ledger: which runs there are, and the cases, turns and scores of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from traces.errors import Unknown
from traces.processes import gone
from traces.queries.window import Rows
from traces.records import Run, RunSettings, Turn

# A run that was resumed may hold a case twice; the newest score of a name is in force, and the
# turn that the newest "completed" score names is the case's turn. The turn of a case that
# was asked several times is that of the first repetition.
SCORES = """
    with eval_scores as (
        select case_id, name, value, failed, reason, scorer, turn_id, created_at, score_id,
               cast(coalesce(repetition, 1) as integer) as repetition
        from scores where run_id = $run_id and source = 'eval'
    ), ranked as (
        select eval_scores.*, row_number() over (
            partition by case_id, name, repetition order by created_at desc, score_id desc) as place
        from eval_scores
    ), in_force as (select * from ranked where place = 1)
"""
_SCORE_COLUMNS = """
    select case_id, name, value, failed, reason, scorer, turn_id, created_at, repetition
    from in_force order by case_id, name, repetition
"""
JUDGE = "/"  # in the name of a scorer that is a model: "ragas-0.4.3/openai:gpt-6-luna@1"
_BY_SCORER = SCORES.replace("source = 'eval'", "source = 'eval' and scorer = $scorer")


class UnknownRun(Unknown):
    """No run has this id, or several begin with it."""


@dataclass(frozen=True, slots=True)
class RunScore:
    """A score in force of a run's case."""

    case_id: str
    name: str
    value: float | None
    failed: bool
    reason: str | None
    repetition: int = 1
    scorer: str | None = None
    turn_id: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunCase:
    """A case of a run with its answer; what the turn tells is None where there is no turn."""

    case_id: str
    question: str
    history: list[dict[str, str]] | None = None
    reference: str | None = None
    relevant_ids: list[str] | None = None
    answerability: str | None = None
    must_refuse: bool | None = None
    must_contain: list[str] | None = None
    tags: list[str] | None = None
    turn_id: str | None = None
    outcome: str | None = None
    answer: str | None = None
    error_class: str | None = None
    refusal: str | None = None
    standalone: str | None = None
    model: str | None = None
    seconds: float | None = None
    first_token_seconds: float | None = None
    cost_usd: float | None = None
    completed: float | None = None
    reason: str | None = None  # why it was not completed


@dataclass(frozen=True, slots=True)
class RunPassage:
    """A passage that reached the prompt of a run's turn."""

    turn_id: str
    n: int
    title: str
    text: str


def runs(ledger: Rows, *, evalset: str | None = None, limit: int = 200) -> list[Run]:
    """Return the runs as they stand, newest first; one whose process is gone has stopped."""
    rows = ledger.rows(
        """
        select * from runs
        where cast($evalset as text) is null or evalset = $evalset
        order by started_at desc, run_id desc limit $limit
        """,
        evalset=evalset,
        limit=limit,
    )
    return [_standing(row) for row in rows]


def _standing(row: Mapping[str, Any]) -> Run:
    run = Run(**{**row, "settings": RunSettings.read(row["settings"])})
    if run.state != "running" or not gone(run.settings.process):
        return run
    return replace(run, state="stopped", error="its process ended without a word; the run can go on")


def run(ledger: Rows, run_id: str) -> Run:
    """Return the one run whose id is this or begins or ends with it, or that is "latest".

    Raises UnknownRun when there is none or more than one.
    """
    everything = runs(ledger, limit=100_000)
    if run_id == "latest" and everything:
        return everything[0]
    fitting = [run for run in everything if run.run_id == run_id] or [
        run for run in everything if run.run_id.startswith(run_id) or run.run_id.endswith(run_id)
    ]
    if len(fitting) == 1 and run_id:
        return fitting[0]
    if fitting:
        raise UnknownRun(f"{run_id!r} fits {len(fitting)} runs; give more of the id")
    raise UnknownRun(f"no run {run_id!r}; `answerdeck eval run SET` makes one")


def scores_of(ledger: Rows, run_id: str) -> list[RunScore]:
    """Return the scores in force of a run: one a case, name and repetition.

    Where several judges gave a score of one name, all are those of the judge that spoke last.
    """
    scores = [RunScore(**row) for row in ledger.rows(SCORES + _SCORE_COLUMNS, run_id=run_id)]
    for name, judge in _several(scores).items():
        scores = [score for score in scores if score.name != name]
        scores += [score for score in scores_by(ledger, run_id, judge) if score.name == name]
    return sorted(scores, key=lambda score: (score.case_id, score.name, score.repetition))


def scores_by(ledger: Rows, run_id: str, scorer: str) -> list[RunScore]:
    """Return what one scorer gave in a run, its newest a case, name and repetition."""
    rows = ledger.rows(_BY_SCORER + _SCORE_COLUMNS, run_id=run_id, scorer=scorer)
    return [RunScore(**row) for row in rows]


def _several(scores: list[RunScore]) -> dict[str, str]:
    """Return the names of which several judges' scores are in force, each with the judge that spoke last."""
    judges: dict[str, dict[str, datetime]] = {}
    for score in scores:
        if score.scorer and JUDGE in score.scorer and score.created_at is not None:
            times = judges.setdefault(score.name, {})
            times[score.scorer] = max(score.created_at, times.get(score.scorer, score.created_at))
    return {
        name: max(times, key=lambda scorer: times[scorer]) for name, times in judges.items() if len(times) > 1
    }


def cases_of(ledger: Rows, run_id: str) -> list[RunCase]:
    """Return the cases of a run, each with its answer."""
    rows = ledger.rows(
        SCORES  # noqa: S608 - two constants
        + """
        select asked.case_id, asked.question, asked.history, asked.reference, asked.relevant_ids,
               asked.answerability, asked.must_refuse, asked.must_contain, asked.tags,
               turns.turn_id, turns.outcome, turns.answer, turns.error_class, turns.refusal, turns.standalone,
               turns.model, turns.seconds, turns.first_token_seconds, turns.cost_usd,
               in_force.value as completed, in_force.reason
        from cases as asked
        left join in_force on in_force.case_id = asked.case_id and in_force.name = 'completed'
            and in_force.repetition = 1
        left join turns on turns.turn_id = in_force.turn_id
        where asked.run_id = $run_id
        order by asked.case_id
        """,
        run_id=run_id,
    )
    return [RunCase(**row) for row in rows]


def passages_of(ledger: Rows, run_id: str) -> list[RunPassage]:
    """Return the passages that reached the prompt in a run's turns, in their order there."""
    rows = ledger.rows(
        SCORES  # noqa: S608 - two constants
        + """
        select passages.turn_id, passages.n, passages.title, passages.text from passages
        join in_force on in_force.turn_id = passages.turn_id and in_force.name = 'completed'
        where passages.n is not null and passages.text is not null
        order by passages.turn_id, passages.n
        """,
        run_id=run_id,
    )
    return [RunPassage(**row) for row in rows]


def scored_by(ledger: Rows, run_id: str, scorer: str) -> set[tuple[str, str]]:
    """Return the (case_id, name) that a scorer has scored in a run; failed ones are not."""
    rows = ledger.rows(
        "select case_id, name from scores where run_id = $run_id and scorer = $scorer and not failed",
        run_id=run_id,
        scorer=scorer,
    )
    return {(row["case_id"], row["name"]) for row in rows}


def turns_of(ledger: Rows, run_id: str) -> list[Turn]:
    """Return the turns in force of a run."""
    rows = ledger.rows(
        SCORES  # noqa: S608 - two constants
        + """
        select turns.* from turns
        join in_force on in_force.turn_id = turns.turn_id and in_force.name = 'completed'
        order by turns.started_at
        """,
        run_id=run_id,
    )
    return [Turn(**row) for row in rows]


def price_versions(ledger: Rows, run_id: str) -> list[str]:
    """Return the versions of the price table that a run's calls were priced with."""
    rows = ledger.rows(
        """
        select distinct usages.price_version as version
        from usages join turns on turns.turn_id = usages.turn_id
        where turns.run_id = $run_id and usages.price_version is not null
        order by version
        """,
        run_id=run_id,
    )
    return [row["version"] for row in rows]


def history(ledger: Rows, evalset: str, metric: str) -> dict[str, list[RunScore]]:
    """Return the scores in force of one metric by run, over all finished runs of an evalset."""
    rows = ledger.rows(
        """
        with eval_scores as (
            select scores.run_id, case_id, name, value, scores.failed, reason, created_at, score_id,
                   cast(coalesce(repetition, 1) as integer) as repetition
            from scores join runs on runs.run_id = scores.run_id
            where runs.evalset = $evalset and runs.state = 'finished'
              and scores.source = 'eval' and scores.name = $metric
        ), ranked as (
            select eval_scores.*, row_number() over (
                partition by run_id, case_id, repetition order by created_at desc, score_id desc) as place
            from eval_scores
        )
        select run_id, case_id, name, value, failed, reason, repetition
        from ranked where place = 1 order by run_id, case_id, repetition
        """,
        evalset=evalset,
        metric=metric,
    )
    by_run: dict[str, list[RunScore]] = {}
    for row in rows:
        by_run.setdefault(row.pop("run_id"), []).append(RunScore(**row))
    return by_run


def metrics(ledger: Rows, evalset: str) -> list[str]:
    """Return the names of what finished runs of an evalset were scored on."""
    rows = ledger.rows(
        """
        select distinct scores.name from scores join runs on runs.run_id = scores.run_id
        where runs.evalset = $evalset and runs.state = 'finished' and scores.source = 'eval'
          and scores.value is not null
        order by scores.name
        """,
        evalset=evalset,
    )
    return [row["name"] for row in rows]
