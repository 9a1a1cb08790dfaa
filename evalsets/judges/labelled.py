"""Reads answers that people labelled or rated: what a scorer is held against."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from evalsets.cases.cases import SETS
from evalsets.cases.evalset import EvalsetError
from evalsets.judges import published
from evalsets.judges.judge_metrics import Sample

SHIPPED = SETS / "calibration"
FILES = ("ratings.jsonl", "dev.jsonl", "questions.jsonl", "labels.jsonl", "response.jsonl")
YES = (
    "1",
    "true",
    "yes",
    "attributable",
    "fully attributable",
    "faithful",
    "supported",
    "grounded",
    "good",
    "correct",
    "answerable",
)
NO = ("0", "false", "no", "not_attributable", "not attributable",
      "not fully attributable", "generic", "unfaithful", "unsupported", "ungrounded", "bad",
      "incorrect", "unanswerable", "hallucinated")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Labelled:
    """An answer (or a question) and what people said of it."""

    sample: Sample
    truth: float  # 0 or 1 for labels, the mean for ratings
    group: str  # answers to the same question are drawn together
    ratings: tuple[float, ...] = ()  # of the single people, when known
    heard: tuple[str, ...] = ()  # what was said before the question


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A calibration set: `kind` says what its truths are, `about` what was labelled."""

    name: str
    fingerprint: str
    kind: Literal["rating", "label"]
    about: Literal["answer", "question"]
    items: tuple[Labelled, ...]


def names() -> list[str]:
    """Return the sets that are shipped."""
    return sorted(path.name for path in SHIPPED.iterdir() if path.is_dir())


def load(where: str) -> LabelledSet:
    """Read a shipped set by name, a folder, or a .jsonl; raises EvalsetError naming every bad line.

    Knows MTRAG's human ratings, BEGIN, RAGTruth and ClapNQ by their fields; else a line is {answer, contexts,
    question?, reference?, label or rating}.
    """
    path = _find(where)
    problems: list[str] = []
    items: list[Labelled] = []
    about: Literal["answer", "question"] = "answer"
    rated = labelled = 0
    for number, row in published.rows(path, problems):
        try:
            about = "question" if "answerable" in row else "answer"
            items.append(_reader(row)(row, str(number)))
        except (KeyError, TypeError, ValueError) as error:
            what = f"has no {error}" if isinstance(error, KeyError) else str(error)
            problems.append(f"{path.name} line {number}: {what}")
        rated += "rating" in row or "human" in row
        labelled += "label" in row or "answerable" in row
    if rated and labelled:
        problems.append(f"{path.name}: {rated} lines have a rating and {labelled} a label; use one of them")
    if not items and not problems:
        problems.append(f"{path.name}: holds no line")
    if problems:
        raise EvalsetError(problems)
    name = path.parent.name if path.name in FILES else path.stem
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return LabelledSet(name, digest, "rating" if rated else "label", about, tuple(items))


def _find(where: str) -> Path:
    given = Path(where)
    for path in (given, SHIPPED / where):
        if path.is_file():
            return path
        for name in FILES:
            if (path / name).is_file():
                return path / name
    raise EvalsetError(
        [f"{where!r} is no labelled set; give one of {', '.join(names())}, a .jsonl, or a folder with one "
         f"of {', '.join(FILES)}"]
    )  # fmt: skip


def _reader(row: Mapping[str, Any]) -> Callable[[Mapping[str, Any], str], Labelled]:
    if "human" in row:
        return _mtrag
    if "knowledge" in row:
        return _begin
    return _clapnq if "answerable" in row else _plain


def _mtrag(row: Mapping[str, Any], number: str) -> Labelled:
    ratings = tuple(float(rating) for rating in row["human"]["faithfulness"])
    sample = Sample(
        number,
        row["question"],
        row["response"],
        tuple(f"{c.get('title') or ''}\n{c['text']}".strip() for c in row["contexts"]),
        row.get("reference") or "",
    )
    heard = tuple(turn.get("text", "") for turn in row.get("history") or ())
    return Labelled(sample, fmean(ratings), row["task_id"], ratings, heard)


def _begin(row: Mapping[str, Any], number: str) -> Labelled:
    sample = Sample(number, row.get("message") or "", row["response"], (row["knowledge"],))
    return Labelled(sample, _truth(row["label"]), str(row.get("id") or number))


def _clapnq(row: Mapping[str, Any], number: str) -> Labelled:
    text = " ".join(row["sentences"])
    sample = Sample(number, row["question"], "", (f"{row.get('title') or ''}\n{text}",))
    return Labelled(sample, _truth(row["answerable"]), str(row.get("id") or number))


def _plain(row: Mapping[str, Any], number: str) -> Labelled:
    contexts = row.get("contexts") or row.get("retrieved_contexts") or ()
    texts = [contexts] if isinstance(contexts, str) else contexts
    answer = row["answer"] if "answer" in row else row["response"]
    question = row.get("question") or row.get("user_input") or ""
    sample = Sample(
        number,
        question,
        str(answer),
        tuple(text if isinstance(text, str) else text["text"] for text in texts),
        row.get("reference") or "",
    )
    truth = float(row["rating"]) if "rating" in row else _truth(row["label"])
    return Labelled(sample, truth, str(row.get("group") or question or number))


def _truth(label: object) -> float:
    """Return 1 or 0 for a label in any of its usual words; raises ValueError for others."""
    word = str(label).strip().casefold()
    if word in YES:
        return 1.0
    if word in NO:
        return 0.0
    raise ValueError(f"label {label!r} is neither yes ({', '.join(YES[:6])}) nor no ({', '.join(NO[:6])})")
