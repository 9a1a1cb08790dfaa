"""Evalsets as files: what is asked, what is expected, and what they are fingerprinted by."""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalsets.cases import beir, jsonl
from evalsets.cases.evalset import ANSWERABILITY, Evalset, EvalsetError, Queries, fingerprint
from traces.records import Case

SETS = Path(__file__).parents[1] / "sets"
FIELDS = frozenset(
    "id question history reference relevant_ids answerability must_refuse must_contain tags".split()  # noqa: SIM905
)
HEAD = frozenset("title owner source licence notice labels corpus kb thresholds".split())  # noqa: SIM905
_LISTS = ("relevant_ids", "must_contain", "tags")


def load(name_or_path: str | Path, *, own: Path | None = None, queries: Queries | None = None) -> Evalset:
    """Return an evalset by name (the team's before the shipped), or from a .jsonl, a .csv or a BEIR folder.

    `own` is the folder of the team's sets, the data folder's by default; `queries` says which form of
    a BEIR folder's questions to ask. Raises EvalsetError naming every bad line, duplicate id and
    unknown field.
    """
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and "/" not in name_or_path:
        path = next((found for found in _files(own) if found.stem == name_or_path), path)
    if path.is_dir():
        return beir.load(path, queries)
    if not path.is_file():
        known = ", ".join(sorted({found.stem for found in _files(own)}))
        raise EvalsetError([f"no evalset {str(name_or_path)!r}; there are {known}, or give a file or folder"])
    problems: list[str] = []
    rows = _csv(path, problems) if path.suffix == ".csv" else jsonl.objects(path, problems)
    cases = tuple(_cases(path, rows, problems))
    head = _head(path.with_suffix(".toml"), problems)
    if not cases and not problems:
        problems.append(f"{path.name}: holds no case")
    if problems:
        raise EvalsetError(problems)
    corpus = head["corpus"].read_bytes() if "corpus" in head else b""
    synthetic = sum("synthetic" in (one.tags or ()) for one in cases)
    if synthetic:
        note = (
            f"{synthetic} of {len(cases)} questions are synthetic: written by rules or a model, not by people"
        )
        head["warnings"] = (note,)
    return Evalset(name=path.stem, fingerprint=fingerprint(cases, corpus), cases=cases, **head)


def list_sets(own: Path | None = None) -> list[dict[str, Any]]:
    """Return the sets to choose from, the demo first, the team's own last."""
    found: dict[str, dict[str, Any]] = {}
    for path in _files(own):
        head = tomllib.loads(path.with_suffix(".toml").read_text(encoding="utf-8"))
        cases = sum(1 for line in path.read_bytes().splitlines() if line.strip())
        about = {key: head.get(key, "") for key in ("title", "source", "licence")}
        found.setdefault(
            path.stem, {"name": path.stem, "cases": cases, **about, "shipped": path.parent == SETS}
        )
    return sorted(
        found.values(), key=lambda row: (not row["shipped"], not row["name"].startswith("demo"), row["name"])
    )


def own_folder() -> Path:
    """Return the folder of the team's own sets: in the data folder, so that they outlive an update."""
    from pipeline.settings import load as settings

    return settings().data_dir / "evalsets"


def _files(own: Path | None) -> list[Path]:
    """Return the files of all named sets, the team's own first; a corpus has no .toml beside it."""
    folders = (own or own_folder(), SETS)
    found = [path for folder in folders for path in sorted(folder.glob("*.jsonl"))]
    return [path for path in found if path.with_suffix(".toml").is_file()]


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
    columns |= {key: list(dict.fromkeys(columns[key])) for key in _LISTS if key in columns}
    return Case(run_id="", case_id=row["id"], **columns)


def _list_problems(row: dict[str, Any]) -> Iterator[str]:
    for key in _LISTS:
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


def _cases(path: Path, rows: Iterator[tuple[int, dict[str, Any]]], problems: list[str]) -> Iterator[Case]:
    lines: dict[str, int] = {}
    for number, row in rows:
        where = f"{path.name} line {number}"
        found = case(row, where, problems)
        if found is None:
            continue
        if found.case_id in lines:
            problems.append(f"{where}: id {found.case_id!r} is already on line {lines[found.case_id]}")
            continue
        lines[found.case_id] = number
        yield found


def _csv(path: Path, problems: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a CSV file; lists are JSON or separated by ";", empty cells are absent."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="")
            for row in reader:
                where = f"{path.name} line {reader.line_num}"
                if "" in row:
                    problems.append(f"{where}: more cells than columns")
                    continue
                yield reader.line_num, {key: _cell(key, text) for key, text in row.items() if text}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problems.append(f"{path.name}: cannot be read as CSV in UTF-8 ({error})")


def _cell(key: str, text: str) -> Any:
    if key == "must_refuse":
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
            text.strip().lower(), text
        )
    if key in (*_LISTS, "history") and text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    if key in _LISTS:
        return [item.strip() for item in text.split(";") if item.strip()]
    return text


def _head(path: Path, problems: list[str]) -> dict[str, Any]:
    """Return what the .toml beside the cases says; nothing when there is none."""
    if not path.is_file():
        return {}
    try:
        head = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problems.append(f"{path.name}: {error}")
        return {}
    problems += [f"{path.name}: unknown key {key!r}" for key in sorted(head.keys() - HEAD)]
    head = {key: value for key, value in head.items() if key in HEAD}
    labels, corpus = head.pop("labels", "documents"), head.pop("corpus", None)
    if labels not in ("documents", "chunks"):
        problems.append(f"{path.name}: labels must be documents or chunks, got {labels!r}")
    if corpus == "sample":
        head["sample"] = True
    elif corpus is not None:
        head["corpus"] = path.parent / corpus
        if not head["corpus"].is_file():
            problems.append(f"{path.name}: corpus {corpus!r} is not there")
        else:
            rows = jsonl.objects(head["corpus"], problems)
            head["planted"] = {str(row.get("id")): row["attack"] for _, row in rows if row.get("attack")}
    return {**head, "chunks": labels == "chunks"}
