"""What an evalset is: cases with what is known of them, and a fingerprint over both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from evalsets.cases import jsonl
from evalsets.cases.rubric import Criterion
from pipeline.errors import AnswerdeckError
from pipeline.events import Message
from traces.records import Case

Queries = Literal["last", "rewrite", "tasks"]
ANSWERABILITY = ("answerable", "partial", "unanswerable", "off_topic", "conversational")


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
    rubric: tuple[Criterion, ...] = ()  # what a judge marks answers for, in the team's words
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


def fingerprint(cases: Sequence[Case], corpus: bytes = b"") -> str:
    """Return 12 hex digits over the cases and the corpus."""
    digest = hashlib.sha256(corpus)
    for case in cases:
        columns = {key: value for key, value in asdict(case).items() if value is not None and key != "run_id"}
        digest.update(json.dumps(columns, sort_keys=True).encode())
    return digest.hexdigest()[:12]


def messages(history: Sequence[Mapping[str, str]] | None) -> tuple[Message, ...]:
    """Return the {role, text} of a case's history as what a question carries."""
    return tuple(
        Message("user" if line["role"] == "user" else "assistant", line["text"]) for line in history or ()
    )
