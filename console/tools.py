"""What other programs may do here: search, ask, read a turn, run an evalset; each as plain JSON."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import Any

from evalsets.cases import cases, corpora
from evalsets.cases.evalset import Evalset
from evalsets.runs.estimate import estimate
from evalsets.runs.runner import Plan, Variant, run
from pipeline import build
from pipeline.auth import Person
from pipeline.errors import AnswerdeckError
from pipeline.events import Answer, Question, public
from pipeline.http.streaming import last
from pipeline.settings import Settings
from pipeline.turn import Pipeline
from traces.errors import Unknown
from traces.queries.turns import trace

TOLD = ("turn_id", "conversation_id", "outcome", "answer", "citations", "notice", "model", "cost_usd")


class Unanswered(AnswerdeckError):
    """A tool has nothing to return; the message is for the program and the person behind it."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of one pipeline. All raise an AnswerdeckError or TracesError that says what is wrong."""

    pipeline: Pipeline
    settings: Settings

    async def search(self, person: Person, question: str, kb: str | None) -> dict[str, Any]:
        """Return the passages closest to a question; the turn's door is `search`."""
        answer = await self._turn(
            Question(question, person.name, "search", kb=kb, history=(), workspace=person.workspace)
        )
        if answer.outcome not in ("answered", "no_context"):
            raise Unanswered(answer.answer)
        passages = [public(passage) for passage in answer.passages]
        return {
            "turn_id": answer.turn_id,
            "outcome": answer.outcome,
            "passages": passages,
            "notice": answer.notice or answer.answer or None,
        }

    async def ask(
        self, person: Person, question: str, kb: str | None, conversation_id: str | None
    ) -> dict[str, Any]:
        """Return the answer to a question with its citations; the turn's door is `mcp`."""
        answer = await self._turn(
            Question(question, person.name, "mcp", conversation_id, kb=kb, workspace=person.workspace)
        )
        if answer.outcome == "failed":
            raise Unanswered(answer.answer)
        whole = answer.to_dict()
        return {name: whole[name] for name in TOLD}

    async def turn(self, person: Person, turn_id: str) -> dict[str, Any]:
        """Return all that was recorded of a turn."""
        _operators(person, "read a turn")
        return await asyncio.to_thread(self._recorded, turn_id, person.workspace)

    async def evaluate(
        self, person: Person, evalset: str, limit: int | None, budget_usd: float
    ) -> dict[str, Any]:
        """Run an evalset of the list with what is in force, unless it may cost more than the budget."""
        _operators(person, "run an evalset")
        if not person.keeps("editor"):
            raise Unanswered(f"There is no evalset {evalset[:64]!r}.")
        names = [row.name for row in await asyncio.to_thread(cases.list_sets)]
        if evalset not in names:  # a path would let a caller far away read files here
            raise Unanswered(f"There is no evalset {evalset[:64]!r}; there are {', '.join(names)}.")
        evals = await asyncio.to_thread(cases.load_evalset, evalset)
        kb = await corpora.prepare(evals, self.pipeline.knowledge)
        await self._affordable(evals.some(limit, 0), kb, budget_usd)
        plan = Plan(limit=limit, budget_usd=budget_usd or None)
        report = await run(evals, Variant(), self.pipeline, plan, kb=kb)
        return json.loads(json.dumps(report.to_dict(), default=str))

    async def _turn(self, question: Question) -> Answer:
        if not question.text.strip():
            raise Unanswered("The question is empty.")
        if question.kb is not None and not await self.pipeline.offers(question.workspace, question.kb):
            raise Unanswered(f"There is no knowledge base {question.kb[:64]!r}.")
        end = await last(self.pipeline.answer(question))
        if not isinstance(end, Answer):
            raise Unanswered(getattr(end, "message", "The turn has no end."))
        return end

    def _recorded(self, turn_id: str, workspace: str) -> dict[str, Any]:
        with self.pipeline.store.read() as ledger:
            row = trace(ledger, turn_id, workspace)
        if row is None:
            raise Unknown(f"There is no turn {turn_id[:64]!r}.")
        return json.loads(json.dumps(asdict(row), default=str))

    async def _affordable(self, evals: Evalset, kb: str | None, budget_usd: float) -> None:
        prices = build.prices(self.settings)
        expected = await estimate(evals, Variant(), self.pipeline, prices, kb=kb, repetitions=1)
        most = float("inf") if expected.most_usd is None else expected.most_usd
        if most > budget_usd:
            raise Unanswered(
                f"This run takes {expected}. Call again with a budget_usd of that much, or a smaller limit;"
                " without a known price run it in a terminal: answerdeck eval run"
            )


def _operators(person: Person, deed: str) -> None:
    if not person.operator:
        raise Unanswered(f"Only operators may {deed}; this key has the role {person.role}.")
