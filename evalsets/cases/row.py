"""A case as a line of a file: which fields it has, and what is wrong with one that is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from evalsets.cases.evalset import ANSWERABILITY
from traces.records import Case

FIELDS = frozenset(
    "id question history reference relevant_ids answerability must_refuse must_contain tags".split()  # noqa: SIM905
)
LISTS = ("relevant_ids", "must_contain", "tags")


def case(row: dict[str, Any], where: str, problems: list[str]) -> Case | None:
    """Return the case a row describes, or None with the reasons added to `problems`."""
    wrong = [f"unknown field {key!r}" for key in sorted(row.keys() - FIELDS)]
    row = {key: value for key, value in row.items() if value is not None}
    for key in ("id", "question"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            wrong.append(f"{key} must be a text, got {row.get(key)!r}")
    if "reference" in row and not isinstance(row["reference"], str):
        wrong.append(f"reference must be a text, got {row['reference']!r}")
    wrong += _list_problems(row)
    if row.get("answerability", "answerable") not in ANSWERABILITY:
        wrong.append(f"answerability must be one of {', '.join(ANSWERABILITY)}, got {row['answerability']!r}")
    if not isinstance(row.get("must_refuse", False), bool):
        wrong.append(f"must_refuse must be true or false, got {row['must_refuse']!r}")
    wrong += _history_problems(row.get("history", []))
    problems += [f"{where}: {reason}" for reason in wrong]
    if wrong:
        return None
    columns = {key: value for key, value in row.items() if key != "id"}
    columns |= {key: list(dict.fromkeys(columns[key])) for key in LISTS if key in columns}
    return Case(run_id="", case_id=row["id"], **columns)


def _list_problems(row: dict[str, Any]) -> Iterator[str]:
    for key in LISTS:
        value = row.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            yield f"{key} must be a list of texts, got {value!r}"


def _history_problems(history: Any) -> list[str]:
    if not isinstance(history, list):
        return [f"history must be a list of {{role, text}}, got {history!r}"]
    for message in history:
        good = isinstance(message, dict) and message.keys() == {"role", "text"}
        if not good or message["role"] not in ("user", "assistant") or not isinstance(message["text"], str):
            return [f"history must hold {{role: user|assistant, text}}, got {message!r}"]
    return []


def row_of(case: Case) -> dict[str, Any]:
    """Return a case as the line of a file."""
    columns = asdict(case)
    columns.pop("run_id")
    return {
        "id": columns.pop("case_id"),
        **{key: value for key, value in columns.items() if value is not None},
    }
