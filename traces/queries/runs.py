"""What eval runs ask of the ledger: which runs there are, and the cases, turns and scores of one."""

from __future__ import annotations

from typing import Any

from traces.processes import gone
from traces.queries.window import Rows

# A run that was resumed may hold a case twice; the newest score of a name is in force, and the
# turn that the newest "completed" score names is the case's turn. The second and later repetitions
# of a case say so in their tags; its turn is that of the first.
_SCORES = """
    with repeated as (
        select scores.*, case when tags like 'repetition:%' then tags end as repetition
        from scores where run_id = $run_id and source = 'eval'
    ), ranked as (
        select repeated.*, row_number() over (
            partition by case_id, name, repetition order by created_at desc, score_id desc) as place
        from repeated
    ), in_force as (select * from ranked where place = 1)
"""


class UnknownRun(LookupError):
    """No run has this id, or several begin with it."""


def runs(ledger: Rows, *, evalset: str | None = None, limit: int = 200) -> list[dict[str, Any]]:
    """Return the runs as they stand, newest first; one whose process is gone has stopped."""
    known = ledger.rows(
        """
        select * from runs
        where cast($evalset as text) is null or evalset = $evalset
        order by started_at desc, run_id desc limit $limit
        """,
        evalset=evalset,
        limit=limit,
    )
    return [_standing(row) for row in known]


def _standing(row: dict[str, Any]) -> dict[str, Any]:
    if row["state"] != "running" or not gone((row["settings"] or {}).get("process") or {}):
        return row
    return {**row, "state": "stopped", "error": "its process ended without a word; the run can go on"}


def run(ledger: Rows, run_id: str) -> dict[str, Any]:
    """Return the one run whose id is this or begins or ends with it, or that is "latest".

    Raises UnknownRun when there is none or more than one.
    """
    known = runs(ledger, limit=100_000)
    if run_id == "latest" and known:
        return known[0]
    found = [row for row in known if row["run_id"] == run_id]
    found = found or [
        row for row in known if row["run_id"].startswith(run_id) or row["run_id"].endswith(run_id)
    ]
    if len(found) == 1 and run_id:
        return found[0]
    if found:
        raise UnknownRun(f"{run_id!r} fits {len(found)} runs; give more of the id")
    raise UnknownRun(f"no run {run_id!r}; `answerdeck eval run SET` makes one")


def scores_of(ledger: Rows, run_id: str) -> list[dict[str, Any]]:
    """Return the scores in force of a run: one a case, name and repetition (None is the first)."""
    return ledger.rows(
        _SCORES  # noqa: S608 - two constants
        + """
        select case_id, name, value, failed, reason, scorer, turn_id, created_at, repetition
        from in_force order by case_id, name, repetition
        """,
        run_id=run_id,
    )


def cases_of(ledger: Rows, run_id: str) -> list[dict[str, Any]]:
    """Return the cases of a run, each with its answer; turn columns are None where it has no turn."""
    return ledger.rows(
        _SCORES  # noqa: S608 - two constants
        + """
        select asked.case_id, asked.question, asked.history, asked.reference, asked.relevant_ids,
               asked.answerability, asked.must_refuse, asked.must_contain, asked.tags,
               turns.turn_id, turns.outcome, turns.answer, turns.error_class, turns.refusal, turns.standalone,
               turns.model, turns.seconds, turns.first_token_seconds, turns.cost_usd,
               in_force.value as completed, in_force.reason
        from cases as asked
        left join in_force on in_force.case_id = asked.case_id and in_force.name = 'completed'
            and in_force.repetition is null
        left join turns on turns.turn_id = in_force.turn_id
        where asked.run_id = $run_id
        order by asked.case_id
        """,
        run_id=run_id,
    )


def passages_of(ledger: Rows, run_id: str) -> list[dict[str, Any]]:
    """Return the passages that reached the prompt in a run's turns, in their order there."""
    return ledger.rows(
        _SCORES  # noqa: S608 - two constants
        + """
        select passages.turn_id, passages.n, passages.title, passages.text from passages
        join in_force on in_force.turn_id = passages.turn_id and in_force.name = 'completed'
        where passages.n is not null and passages.text is not null
        order by passages.turn_id, passages.n
        """,
        run_id=run_id,
    )


def scored_by(ledger: Rows, run_id: str, scorer: str) -> set[tuple[str, str]]:
    """Return the (case_id, name) that a scorer has scored in a run; failed ones are not."""
    rows = ledger.rows(
        "select case_id, name from scores where run_id = $run_id and scorer = $scorer and not failed",
        run_id=run_id,
        scorer=scorer,
    )
    return {(row["case_id"], row["name"]) for row in rows}


def turns_of(ledger: Rows, run_id: str) -> list[dict[str, Any]]:
    """Return the turns in force of a run."""
    return ledger.rows(
        _SCORES  # noqa: S608 - two constants
        + """
        select turns.* from turns
        join in_force on in_force.turn_id = turns.turn_id and in_force.name = 'completed'
        order by turns.started_at
        """,
        run_id=run_id,
    )


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


def history(ledger: Rows, evalset: str, metric: str) -> list[dict[str, Any]]:
    """Return the scores in force of one metric over all finished runs of an evalset."""
    return ledger.rows(
        """
        with repeated as (
            select scores.*, case when scores.tags like 'repetition:%' then scores.tags end as repetition
            from scores join runs on runs.run_id = scores.run_id
            where runs.evalset = $evalset and runs.state = 'finished'
              and scores.source = 'eval' and scores.name = $metric
        ), ranked as (
            select repeated.*, row_number() over (
                partition by run_id, case_id, repetition order by created_at desc, score_id desc) as place
            from repeated
        )
        select run_id, case_id, name, value, failed, reason, repetition
        from ranked where place = 1 order by run_id, case_id, repetition
        """,
        evalset=evalset,
        metric=metric,
    )


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
