"""What a person left in the ledger: own turns, and the turns and cases that were made from them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from traces.queries.window import Rows


class AskedTurn(NamedTuple):
    """A turn that a person asked."""

    turn_id: str
    question: str


class AskedCase(NamedTuple):
    """A case that runs asked; its tags are a JSON list as text, None without any."""

    case_id: str
    tags: str | None


def turns(ledger: Rows, user_id: str) -> list[AskedTurn]:
    """Which turns did a person ask?"""
    rows = ledger.rows("select turn_id, question from turns where user_id = $user", user=user_id)
    return [AskedTurn(**row) for row in rows]


def cases(ledger: Rows) -> list[AskedCase]:
    """Which cases did runs ever ask, with their tags?"""
    rows = ledger.rows("select distinct case_id, cast(tags as text) as tags from cases")
    return [AskedCase(**row) for row in rows]


def asked_again(ledger: Rows, case_ids: Collection[str], questions: Collection[str]) -> list[str]:
    """Which turns asked one of these cases again, or outside a case the very same, in evals and replays?"""
    rows = ledger.rows(
        "select turn_id from turns where case_id = any($ids)"
        " or (case_id is null and door in ('eval', 'replay') and question = any(cast($questions as text[])))",
        ids=list(case_ids),
        questions=list(questions),
    )
    return [row["turn_id"] for row in rows]


def shared(
    ledger: Rows, user_id: str, turn_ids: Collection[str], questions: Collection[str]
) -> frozenset[str]:
    """Which of a person's questions did somebody else ask in the same words, in a turn of their own?"""
    rows = ledger.rows(
        "select distinct question from turns where question = any(cast($questions as text[]))"
        " and user_id <> $user and not (turn_id = any(cast($turns as text[])))",
        questions=list(questions),
        user=user_id,
        turns=list(turn_ids),
    )
    return frozenset(row["question"] for row in rows)


LEFT = {
    "turns": "user_id = $user or turn_id = any($turns) or case_id = any($cases)",
    "scores": "user_id = $user or turn_id = any($turns) or case_id = any($cases)",
    "cases": "case_id = any($cases)",
    **dict.fromkeys(("conversations", "daily_users"), "user_id = $user"),
    **dict.fromkeys(
        ("payloads", "spans", "passages", "usages", "asked", "missing", "latest"), "turn_id = any($turns)"
    ),
}


def left(ledger: Rows, table: str, user_id: str, turn_ids: Collection[str], case_ids: Collection[str]) -> int:
    """How many rows of a table still belong to a person?"""
    where = LEFT[table]
    bound = {"user": user_id, "turns": list(turn_ids), "cases": list(case_ids)}
    used = {name: value for name, value in bound.items() if f"${name}" in where}
    view = "score_history" if table == "scores" else table
    # table and condition are constants above
    return ledger.rows(f"select count(*) as n from {view} where {where}", **used)[0]["n"]  # noqa: S608
