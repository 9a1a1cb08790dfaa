"""Evalsets as files: what is asked, what is expected, and what they are fingerprinted by."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from evalsets.cases import beir, imports, jsonl, rubric
from evalsets.cases.evalset import Evalset, EvalsetError, Queries, fingerprint
from evalsets.cases.row import FIELDS, case
from pipeline import settings, shelving
from pipeline.desk import desk
from traces.records import Case

SETS = Path(__file__).parents[1] / "sets"
_workspace: ContextVar[str | None] = ContextVar("workspace", default=None)  # the configuration's
HEAD = frozenset("title owner source licence notice labels corpus kb thresholds rubric".split())  # noqa: SIM905


def load_evalset(
    name_or_path: str | Path, *, own: Path | None = None, queries: Queries | None = None
) -> Evalset:
    """Return an evalset by name (the team's before the shipped), or from a .jsonl, a .csv or a BEIR folder.

    `own` is the folder of the team's sets, the data folder's by default; `queries` says which form of
    a BEIR folder's questions to ask. Raises EvalsetError naming every bad line, duplicate id and
    unknown field.
    """
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and "/" not in name_or_path:
        path = next((file for file in _files(own) if file.stem == name_or_path), path)
    if path.is_dir():
        return beir.load(path, queries)
    if not path.is_file():
        names = ", ".join(sorted({file.stem for file in _files(own)}))
        raise EvalsetError([f"no evalset {str(name_or_path)!r}; there are {names}, or give a file or folder"])
    problems: list[str] = []
    notes: list[str] = []
    rows = jsonl.objects(path, problems) if _ours(path) else _imported(path, problems, notes)
    cases = tuple(_cases(path, rows, problems))
    head = _head(path.with_suffix(".toml"), problems)
    if not cases and not problems:
        problems.append(f"{path.name}: holds no case")
    if problems:
        raise EvalsetError(problems)
    corpus = head["corpus"].read_bytes() if "corpus" in head else b""
    synthetic = sum("synthetic" in (item.tags or ()) for item in cases)
    if synthetic:
        notes.append(
            f"{synthetic} of {len(cases)} questions are synthetic: written by rules or a model, not by people"
        )
    head["warnings"] = tuple(notes)
    return Evalset(name=path.stem, fingerprint=fingerprint(cases, corpus), cases=cases, **head)


@dataclass(frozen=True, slots=True)
class Listed:
    """An evalset to choose; with a `problem`, the reason that it cannot be read, it has no cases."""

    name: str
    cases: int
    title: str
    source: str
    licence: str
    problem: str | None
    shipped: bool


def list_sets(own: Path | None = None) -> list[Listed]:
    """Return the sets to choose from, the demo first, the team's own last.

    One that cannot be read is in the list too: with its `problem`, and no cases.
    """
    sets: dict[str, Listed] = {}
    for path in _files(own):
        sets.setdefault(path.stem, _listed(path, *_stamps(path)))
    return sorted(sets.values(), key=lambda row: (not row.shipped, not row.name.startswith("demo"), row.name))


def _stamps(path: Path) -> tuple[int, ...]:
    """Return what changes when a set's files do."""
    stamps: list[int] = []
    for file in (path, path.with_suffix(".toml")):
        try:
            about = file.stat()
        except OSError:
            continue
        stamps += [about.st_mtime_ns, about.st_size]
    return tuple(stamps)


@lru_cache(maxsize=512)
def _listed(path: Path, *_stamps: int) -> Listed:
    shipped = path.parent == SETS
    try:
        evalset = load_evalset(path)
    except EvalsetError as error:
        reason = error.problems[0].removeprefix(f"{path.name}: ")
        return Listed(path.stem, 0, "", "", "", reason, shipped)
    about = evalset.title, evalset.source, evalset.licence
    return Listed(path.stem, len(evalset.cases), *about, None, shipped)


@contextmanager
def belonging(workspace: str | None) -> Iterator[None]:
    """Let the team's own sets be those of a workspace within it; None is the configuration's."""
    token = _workspace.set(workspace)
    try:
        yield
    finally:
        _workspace.reset(token)


def own_settings() -> settings.Settings:
    """Return the configuration for the workspace whose sets are worked with."""
    workspace = _workspace.get()
    return settings.load_settings(**({} if workspace is None else {"workspace": workspace}))


def own_folder() -> Path:
    """Return the folder of the workspace's own sets: in the data folder, so that they outlive an update."""
    present = own_settings()
    shelving.check(present)
    desk(present).look()
    return present.own.evalsets


def _files(own: Path | None) -> list[Path]:
    """Return the files of all named sets, the team's own first; a corpus has no .toml beside it."""
    folders = (own or own_folder(), SETS)
    paths = [path for folder in folders for path in sorted(folder.glob("*.jsonl"))]
    return [path for path in paths if path.with_suffix(".toml").is_file()]


def _cases(path: Path, rows: Iterable[tuple[int, dict[str, Any]]], problems: list[str]) -> Iterator[Case]:
    lines: dict[str, int] = {}
    for number, row in rows:
        where = f"{path.name} line {number}"
        case_read = case(row, where, problems)
        if case_read is None:
            continue
        if case_read.case_id in lines:
            problems.append(
                f"{where}: id {case_read.case_id!r} is already on line {lines[case_read.case_id]}"
            )
            continue
        lines[case_read.case_id] = number
        yield case_read


def _ours(path: Path) -> bool:
    """Say whether a file is in our own form: JSON Lines whose first case has an id and a question."""
    if path.suffix != ".jsonl":
        return False
    first = next(jsonl.objects(path, []), (0, {"question": "", "id": ""}))[1]
    return "question" in first and not (first.keys() - FIELDS and "id" not in first)


def _imported(path: Path, problems: list[str], notes: list[str]) -> Iterable[tuple[int, dict[str, Any]]]:
    """Return the rows of a file that another tool wrote; a row that is no case is a problem."""
    try:
        imported = imports.read(path)
    except EvalsetError as error:
        problems += error.problems
        return
    problems += [f"{path.name} {note}" for note in imported.dropped]
    if imported.mapping:
        notes.append(
            "read as " + ", ".join(f"{field} = {head!r}" for field, head in imported.mapping.items())
        )
    notes += [f"column {lost.field!r} is not used: {lost.why}" for lost in imported.unmapped]
    yield from enumerate(imported.rows, 1)


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
    if "rubric" in head:
        head["rubric"] = rubric.read(head["rubric"], path.name, problems)
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
