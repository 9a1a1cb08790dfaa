"""The team's own evalsets: written whole or not at all, a case added or taken out again."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from evalsets.cases import jsonl
from evalsets.cases.cases import SETS, load_evalset, own_folder, own_settings
from evalsets.cases.evalset import Evalset, EvalsetError
from evalsets.cases.row import case, row_of
from pipeline.deeds import note
from pipeline.desk import desk
from traces.records import Case

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
GUARD = "guard"  # the tag of a case that every later release must pass
Row = Mapping[str, Any]
P = ParamSpec("P")
T = TypeVar("T")


def _shared(deed: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Change the team's own folder for all machines, and note who did; another folder is one's own affair."""

    def decorate(change: Callable[P, T]) -> Callable[P, T]:
        @wraps(change)
        def everywhere(*args: P.args, **named: P.kwargs) -> T:
            if named.get("folder") is not None:
                return change(*args, **named)
            present = own_settings()
            with desk(present).together():
                result = change(*args, **named)
                if result:  # else nothing was there to be removed
                    note(present, f"evalset {args[0]}: {deed}")
                return result

        return everywhere

    return decorate


@_shared("saved")
def save(
    name: str,
    rows: Sequence[Row],
    head: Mapping[str, str],
    *,
    corpus: Sequence[Row] | None = None,
    folder: Path | None = None,
    replace: bool = False,
) -> Path:
    """Write `<name>.jsonl` and `<name>.toml`; the set can be found only once both are whole.

    Raises EvalsetError when a row is no case, or the name is taken. `replace` takes it over: new cases,
    while the thresholds and the rubric stay.
    """
    folder = folder or own_folder()
    path = _path(name, folder)
    if path.with_suffix(".toml").exists() and not replace:
        raise EvalsetError([f"there is an evalset {name!r} already; choose another name or replace it"])
    problems: list[str] = []
    ids = [str(row.get("id")) for row in rows]
    problems += [f"id {key!r} is there twice" for key in sorted({key for key in ids if ids.count(key) > 1})]
    for number, row in enumerate(rows, 1):
        case(dict(row), f"case {number}", problems)
    if not rows:
        problems.append("nothing to save: no case")
    if problems:
        raise EvalsetError(problems)
    about = dict(head)
    if corpus is not None:
        beside = folder / f"{name}_corpus.jsonl"
        _write(beside, _lines(corpus))
        about["corpus"] = beside.name
    lines = "".join(f"{key} = {_toml(text)}\n" for key, text in about.items())
    tables = _tables(path.with_suffix(".toml"))
    _write(path, _lines(rows))
    _write(path.with_suffix(".toml"), f"{lines}\n{tables}" if tables else lines)
    return path


@_shared("a case added")
def add(name: str, row: Row, *, folder: Path | None = None, head: Mapping[str, str] | None = None) -> Case:
    """Append a case to a set of the team's, which is begun when there is none, and return the case.

    Raises EvalsetError when the row is no case, its id is there, or its question (after the same
    history) is asked already: `twin` of the error's text names that case.
    """
    folder = folder or own_folder()
    path = _path(name, folder)
    problems: list[str] = []
    case_added = case(dict(row), "the case", problems)
    if case_added is None:
        raise EvalsetError(problems)
    if not path.exists():
        save(name, [row], head or {"title": name, "owner": "", "source": "cases from turns"}, folder=folder)
        return case_added
    cases = load_evalset(path).cases
    if any(other.case_id == case_added.case_id for other in cases):
        raise EvalsetError([f"{name}: a case with the id {case_added.case_id!r} is there already"])
    if (other := twin(case_added, cases)) is not None:
        raise EvalsetError([f"{name}: case {other.case_id!r} asks the same already"])
    with path.open("rb+") as file:  # the last line may lack its end when people edited the file
        file.seek(0, os.SEEK_END)
        begin = b"" if file.tell() == 0 else b"\n"
        if begin:
            file.seek(-1, os.SEEK_END)
            begin = b"" if file.read(1) == b"\n" else b"\n"
        file.write(begin + _lines([row]).encode())
    return case_added


@_shared("cases imported")
def extend(
    name: str, rows: Sequence[Row], *, corpus: Sequence[Row] | None = None, folder: Path | None = None
) -> tuple[list[Row], list[str]]:
    """Append cases to one of the team's sets; return them, and what was left out, a sentence each.

    A case that the set asks already is left out; an id that is taken by another question gets a new
    ending. Raises EvalsetError when a row is no case, or the rows need a `corpus`, which cannot be
    added; the set then stays as it is.
    """
    if corpus is not None:
        raise EvalsetError(["the file brings documents of its own; import it under a name of its own"])
    path = _path(name, folder or own_folder())
    if not path.exists():
        raise EvalsetError([f"the team has no evalset {name!r} to add to; import it without adding"])
    problems: list[str] = []
    cases = [case(dict(row), f"case {number}", problems) for number, row in enumerate(rows, 1)]
    if problems:
        raise EvalsetError(problems)
    before = load_evalset(path).cases
    questions, ids = {_asked(other) for other in before}, {other.case_id for other in before}
    new: list[Row] = []
    left: list[str] = []
    for item, row in zip(filter(None, cases), rows, strict=True):
        if _asked(item) in questions:
            left.append(f"{item.question[:60]!r}: {name} asks it already")
            continue
        key = next(key for key in _ids(item.case_id) if key not in ids)
        questions.add(_asked(item))
        ids.add(key)
        new.append({**row, "id": key})
    _write(path, _lines([*map(row_of, before), *new]))
    return new, left


def _ids(key: str) -> Iterator[str]:
    yield key
    yield from (f"{key}-{number}" for number in count(2))


@_shared("a case removed")
def remove(name: str, case_id: str, *, folder: Path | None = None) -> bool:
    """Take a case out again; False when it is not there. The last case takes the set with it."""
    path = _path(name, folder or own_folder())
    problems: list[str] = []
    rows = [row for _, row in jsonl.objects(path, problems)] if path.exists() else []
    if problems:
        raise EvalsetError(problems)
    remaining = [row for row in rows if row.get("id") != case_id]
    if len(remaining) == len(rows):
        return False
    if remaining:
        _write(path, _lines(remaining))
        return True
    path.with_suffix(".toml").unlink(missing_ok=True)
    path.unlink()
    return True


@_shared("a case changed")
def change(name: str, case_id: str, changes: Row, *, folder: Path | None = None) -> Case:
    """Change fields of a case of the team's and return it; a field set to None is cleared.

    Raises EvalsetError when there is no such case or it would be none any more; the file then stays.
    """
    path = _path(name, folder or own_folder())
    problems: list[str] = []
    rows = [row for _, row in jsonl.objects(path, problems)] if path.exists() else []
    place = next((place for place, row in enumerate(rows) if row.get("id") == case_id), None)
    if problems or place is None:
        raise EvalsetError(problems or [f"{name}: no case {case_id!r} among the team's own"])
    changed = {key: value for key, value in {**rows[place], **changes}.items() if value is not None}
    case_changed = case(changed, "the case", problems)
    if case_changed is None:
        raise EvalsetError(problems)
    if any(row.get("id") == case_changed.case_id for row in rows[:place] + rows[place + 1 :]):
        raise EvalsetError([f"{name}: a case with the id {case_changed.case_id!r} is there already"])
    rows[place] = changed
    _write(path, _lines(rows))
    return case_changed


@_shared("deleted")
def delete(name: str, *, folder: Path | None = None) -> Path:
    """Take one of the team's sets out of the lists; return the file its cases are kept in.

    Raises EvalsetError when the team has none of this name.
    """
    path = _path(name, folder or own_folder())
    if not path.exists():
        raise EvalsetError([f"the team has no evalset {name!r}"])
    place = path.parent / "deleted" / path.name
    place.parent.mkdir(exist_ok=True)
    if path.with_suffix(".toml").exists():
        path.with_suffix(".toml").replace(place.with_suffix(".toml"))
    path.replace(place)
    return place


def exported(evalset: Evalset, ending: str) -> str:
    """Return the cases as JSON Lines or, for ".csv", as a table that imports to the same cases."""
    rows = [row_of(item) for item in evalset.cases]
    if ending != ".csv":
        return _lines(rows)
    columns = [field.name for field in fields(Case) if any(field.name in row for row in rows)]
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\r\n")
    table.writerow(["id", *columns])
    for row in rows:
        table.writerow([row["id"], *(_cell(row.get(column)) for column in columns)])
    return out.getvalue()


def _tables(path: Path) -> str:
    """Return the tables at the end of a set's .toml as they are written; empty when there are none."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    for place in (place for place, line in enumerate(lines) if line.startswith("[")):
        text = "".join(lines[place:])
        with suppress(tomllib.TOMLDecodeError):  # a line of a longer text may begin with a bracket too
            if all(isinstance(value, dict) for value in tomllib.loads(text).values()):
                return text
    return ""


def _cell(value: Any) -> str:
    """Return a value as the import reads it; lists as JSON, for their items may hold a semicolon."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value or "")


def names(folder: Path | None = None) -> list[str]:
    """Return the names of the team's sets."""
    return [path.stem for path in sorted((folder or own_folder()).glob("*.toml"))]


def title(name: str, folder: Path | None = None) -> str:
    """Return the title of one of the team's sets, its name when it has none."""
    path = (folder or own_folder()) / f"{name}.toml"
    return (
        str(tomllib.loads(path.read_text(encoding="utf-8")).get("title") or name) if path.exists() else name
    )


def twin(case: Case, cases: Sequence[Case]) -> Case | None:
    """Return the case that asks the same after the same history, small differences in writing aside."""
    key = _asked(case)
    return next((other for other in cases if _asked(other) == key), None)


def _asked(row: Case) -> tuple[str, ...]:
    texts = [message["text"] for message in row.history or () if message["role"] == "user"]
    return tuple(" ".join(re.findall(r"\w+", text.casefold())) for text in (*texts, row.question))


def _path(name: str, folder: Path) -> Path:
    if not _NAME.fullmatch(name):
        raise EvalsetError([f"{name!r} cannot be a name; use letters, digits, '-', '_' and '.'"])
    if (SETS / f"{name}.toml").exists():
        raise EvalsetError(
            [
                f"{name!r} is a shipped evalset and stays as it is; choose another name, or change a copy:"
                f" answerdeck eval export {name} --out mine.jsonl, then eval import mine.jsonl"
            ]
        )
    return folder / f"{name}.jsonl"


def _lines(rows: Sequence[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}.half")
    half.write_bytes(text.encode("utf-8", "replace"))
    half.replace(path)


def _toml(text: str) -> str:
    """Return a TOML string: JSON's form, plus the one character TOML forbids and JSON lets pass."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
