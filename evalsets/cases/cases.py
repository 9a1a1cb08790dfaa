"""Evalsets as files: what is asked, what is expected, and what they are fingerprinted by."""

from __future__ import annotations

import csv
import hashlib
import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from evalsets.cases import jsonl
from pipeline.errors import AnswerdeckError
from traces.records import Case

SETS = Path(__file__).parents[1] / "sets"
Queries = Literal["last", "rewrite", "tasks"]
ANSWERABILITY = ("answerable", "partial", "unanswerable", "off_topic", "conversational")
FIELDS = frozenset(
    "id question history reference relevant_ids answerability must_refuse must_contain tags".split()  # noqa: SIM905
)
HEAD = frozenset("title owner source licence notice labels corpus kb thresholds".split())  # noqa: SIM905
_LISTS = ("relevant_ids", "must_contain", "tags")


class EvalsetError(AnswerdeckError):
    """An evalset cannot be used; `problems` holds one sentence each, with file and line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(jsonl.shown(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Evalset:
    """Cases with what is known of them. `fingerprint` covers the cases and the corpus."""

    name: str
    fingerprint: str  # 12 hex digits
    cases: tuple[Case, ...]
    title: str = ""
    owner: str = ""
    source: str = ""
    licence: str = ""
    notice: str = ""
    thresholds: dict[str, float] = field(default_factory=dict)  # metric -> least (or most) mean
    chunks: bool = False  # relevant ids name chunks instead of documents
    corpus: Path | None = None  # documents to index apart: jsonl of {id, title, text, url}
    planted: dict[str, str] = field(default_factory=dict)  # document -> the attack planted in it
    sample: bool = False  # its documents are the shipped sample knowledge base
    kb: str | None = None  # the knowledge base to ask; None is the one in force
    warnings: tuple[str, ...] = ()

    @property
    def qrels(self) -> dict[str, tuple[str, ...]]:
        """The relevant ids of each case that has any."""
        return {case.case_id: tuple(case.relevant_ids) for case in self.cases if case.relevant_ids}

    def some(self, limit: int | None, seed: int = 0) -> Evalset:
        """Return at most `limit` cases, chosen by seed, in file order; a smaller choice is in each larger."""
        if limit is None or limit >= len(self.cases):
            return self
        lot = sorted(self.cases, key=lambda case: hashlib.sha256(f"{seed}:{case.case_id}".encode()).digest())
        chosen = {case.case_id for case in lot[:limit]}
        return replace(self, cases=tuple(case for case in self.cases if case.case_id in chosen))


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
        from evalsets.cases import beir

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


def fingerprint(cases: Sequence[Case], corpus: bytes = b"") -> str:
    """Return 12 hex digits over the cases and the corpus."""
    digest = hashlib.sha256(corpus)
    for case in cases:
        columns = {key: value for key, value in asdict(case).items() if value is not None and key != "run_id"}
        digest.update(json.dumps(columns, sort_keys=True).encode())
    return digest.hexdigest()[:12]


def case(row: dict[str, Any], where: str, problems: list[str]) -> Case | None:
    """Return the case a row describes, or None with the reasons added to `problems`."""
    wrong = [f"unknown field {key!r}" for key in sorted(row.keys() - FIELDS)]
    row = {key: value for key, value in row.items() if value is not None}
    for key in ("id", "question"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            wrong.append(f"{key} must be a text, got {row.get(key)!r}")
    if "reference" in row and not isinstance(row["reference"], str):
        wrong.append(f"reference must be a text, got {row['reference']!r}")
    for key in _LISTS:
        value = row.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            wrong.append(f"{key} must be a list of texts, got {value!r}")
    if row.get("answerability", "answerable") not in ANSWERABILITY:
        wrong.append(f"answerability must be one of {', '.join(ANSWERABILITY)}, got {row['answerability']!r}")
    if not isinstance(row.get("must_refuse", False), bool):
        wrong.append(f"must_refuse must be true or false, got {row['must_refuse']!r}")
    wrong += _history_problems(row.get("history", []))
    if wrong:
        problems += [f"{where}: {reason}" for reason in wrong]
        return None
    columns = {key: value for key, value in row.items() if key != "id"}
    for key in _LISTS:
        if key in columns:
            columns[key] = list(dict.fromkeys(columns[key]))
    return Case(run_id="", case_id=row["id"], **columns)


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
