"""A pipeline that answers from a table, writing real traces to a real journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from evalsets.cases.evalset import Evalset, fingerprint
from pipeline.events import Answer, Event, Failed, Question, Started
from tests.factories import make_passage
from traces.ids import uuid7
from traces.journal import Journal
from traces.records import Case, Outcome, Passage, Payload, Trace, Turn
from traces.store import Store

ANSWER = "Open the panel and press the key. [1]"


def make_set(count: int = 8, prefix: str = "c", **columns: Any) -> Evalset:
    """Answerable cases c0, c1, ..., the last one unanswerable."""
    cases = [
        Case(
            "",
            f"{prefix}{i}",
            f"How do I do {i}?",
            relevant_ids=[f"doc-{prefix}{i}"],
            answerability="answerable",
        )
        for i in range(count - 1)
    ]
    cases.append(Case("", f"{prefix}{count - 1}", "How much is it?", answerability="unanswerable"))
    return Evalset("small", fingerprint(cases), tuple(cases), **columns)


class FakePipeline:
    """Answers "Do <id>. [1]" from document <id>; `outcomes` and `wrong` change single questions."""

    def __init__(self, data_dir: Path) -> None:
        self.rules: Any = SimpleNamespace(model="extractive")
        self.force: Any = SimpleNamespace(label=lambda name: f"{name}@v1")
        self.journal = Journal(data_dir / "journal")
        self.store = Store(data_dir)
        self.asked: list[Question] = []
        self.outcomes: dict[str, Outcome] = {}
        self.raises: dict[str, BaseException] = {}
        self.wrong: set[str] = set()
        self.cost: float | None = 0.001
        self.before: Callable[[Question], None] = lambda _: None

    async def answer(self, question: Question) -> AsyncIterator[Event]:
        await asyncio.sleep(0)
        trace = self._trace(question)
        yield Started(trace.turn.turn_id, trace.turn.conversation_id)
        turn = trace.turn
        if turn.outcome == "abandoned":
            yield Failed("busy", "Too many questions.", turn.turn_id)
            return
        yield Answer(
            turn.turn_id,
            turn.conversation_id,
            turn.outcome,
            turn.answer or "",
            (),
            (),
            {},
            0.0,
            0.01,
            0.02,
            trace=trace,
        )

    async def retrieve(self, question: Question) -> Trace:
        trace = self._trace(question)
        return replace(trace, turn=replace(trace.turn, answer=None, attempts=None, cost_usd=None))

    def _trace(self, question: Question) -> Trace:
        self.before(question)
        self.asked.append(question)
        if question.case_id in self.raises:
            raise self.raises[question.case_id]
        outcome = self.outcomes.get(question.case_id or "", "answered")
        document = "elsewhere" if question.case_id in self.wrong else f"doc-{question.case_id}"
        turn_id = uuid7()
        passage: Passage = make_passage(
            turn_id, document_id=document, chunk_id=f"{document}#0", text="Open the panel and press the key."
        )
        turn = Turn(
            turn_id, uuid7(), question.user_id, question.door, datetime.now(UTC), question.text, outcome,
            answer=ANSWER if outcome == "answered" else "I could not find it.",
            error_class="internal" if outcome == "failed" else None,
            prompt="answer@v1", prompt_fingerprint="0123abcd", model="extractive", index_version="v3",
            guardrails="gg", code_version="cc", kb=question.kb, embedder="minilm", attempts=1,
            cost_usd=self.cost,
            seconds=0.02, first_token_seconds=0.01, top_score=0.7, hit=True, passages=1, citations=1,
            run_id=question.run_id, case_id=question.case_id,
        )  # fmt: skip
        trace = Trace(turn, Payload(turn_id), passages=(passage,))
        self.journal.write(trace)
        return trace
