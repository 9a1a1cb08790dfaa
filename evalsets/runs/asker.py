"""Asks one case of an evalset as a turn of the pipeline, and scores what came of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from evalsets.cases.evalset import Evalset, messages
from evalsets.metrics import timing
from evalsets.metrics.metric import Measured, Metric, skipped
from evalsets.metrics.table import measure, metrics_of
from evalsets.metrics.unknowable import without_unknown
from evalsets.runs.answer_cache import REPETITION, served
from pipeline.events import Answer, Event, Failed, Question, last_event
from traces.queries.window import Rows
from traces.recorder import Sink
from traces.records import Case, Trace

log = logging.getLogger(__name__)
RETRIEVAL_ONLY, JOINT = "retrieval only", " · "  # of labels
CONFIGURED = "configured"  # retrieval as it is, beside other settings
TARGET = "target:"  # begins the name of another chatbot in the place of a model's
TIMES = (timing.FIRST_TOKEN, timing.SECONDS)


class Readable(Protocol):
    """What a run needs of the store."""

    @property
    def data_dir(self) -> Path: ...
    def drain(self) -> Any: ...
    def read(self) -> AbstractContextManager[Rows]: ...


class Askable(Protocol):
    """What a run needs of the pipeline."""

    @property
    def rules(self) -> Any: ...
    @property
    def force(self) -> Any: ...
    @property
    def journal(self) -> Sink: ...
    @property
    def store(self) -> Readable: ...
    def answer(self, question: Question) -> AsyncGenerator[Event]: ...
    async def retrieve(self, question: Question) -> Trace: ...


@dataclass(frozen=True, slots=True)
class Variant:
    """What is tried: a prompt version and a model (None is the one in force), or retrieval alone.

    A version promoted while a run goes on does not enter it: what was in force at its start stays.
    """

    prompt: str | None = None
    model: str | None = None
    only: Literal["retrieval"] | None = None
    condense: str | None = None  # the version that rewrites follow-ups; None is the one in force
    retrieval: str | None = None  # other settings than those in force, "passages=8,floor=0.2"

    @property
    def prompts(self) -> dict[str, str]:
        """The versions to answer with, by the name of the prompt."""
        labels = {"answer": self.prompt, "condense": self.condense}
        return {name: label for name, label in labels.items() if label is not None}

    @property
    def label(self) -> str:
        """How people name it, e.g. "answer@v1 · extractive"."""
        if self.outside:
            return str(self.model)
        name = RETRIEVAL_ONLY if self.only else f"{self.prompt}{JOINT}{self.model}"
        return f"{name}{JOINT}{self.retrieval}" if self.retrieval else name

    @property
    def outside(self) -> bool:
        """Whether it is another chatbot, of which only the name is known."""
        return (self.model or "").startswith(TARGET)

    @classmethod
    def read(cls, label: str) -> Variant:
        """Return the variant that a label names."""
        if label.startswith(TARGET):
            return cls(model=label)
        first, *rest = label.split(JOINT)
        if first == RETRIEVAL_ONLY:
            return cls(only="retrieval", retrieval=rest[0] if rest else None)
        return cls(first, rest[0] if rest else None, retrieval=rest[1] if rest[1:] else None)

    def pinned(self, pipeline: Askable) -> Variant:
        """Return it with what is in force filled in; retrieval alone has no prompt and no model."""
        if self.outside:
            return self
        if self.only is not None:
            return replace(self, prompt=None, model=None)
        prompt = self.prompt or pipeline.force.label("answer")
        return replace(self, prompt=prompt, model=self.model or pipeline.rules.model)


class CaseFailed(Exception):
    """A turn was not accepted or ended without an answer."""

    def __init__(self, message: str, turn_id: str | None) -> None:
        super().__init__(message)
        self.turn_id = turn_id


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks the cases of one run."""

    evalset: Evalset
    variant: Variant
    pipeline: Askable
    kb: str | None
    run_id: str

    async def measure(
        self, case: Case, repetition: int = 1, *, timed: bool = True
    ) -> tuple[Trace | None, list[Measured], str]:
        """Ask a case and score it; whatever goes wrong becomes failed scores of this case.

        Unless `timed`, what the turn takes says nothing of the variant and is not scored.
        """
        REPETITION.set(repetition)
        try:
            trace = await self._ask(case)
            scores = self._score(case, trace, timed)
        except Exception as error:  # the boundary of a case: its fault is counted, the others go on
            if not isinstance(error, CaseFailed):
                log.exception("case %s of run %s failed", case.case_id, self.run_id)
            reason = str(error) if isinstance(error, CaseFailed) else f"{type(error).__name__}: {error}"
            blind: frozenset[str] = getattr(self.pipeline, "blind", frozenset())  # of a target alone
            meant = [metric for metric in self._metrics() if metric.applies(case)]
            lost = [metric.fail(reason) for metric in meant if metric.name not in blind]
            turn_id = getattr(error, "turn_id", None) or ""
            return None, [*lost, Measured(0.0, reason, name=timing.COMPLETED.name)], turn_id
        return trace, scores, trace.turn.turn_id

    def _metrics(self) -> list[Metric]:
        """Return what the cases of this run are meant to be scored on, "completed" left out."""
        if self.variant.only == "retrieval":
            return metrics_of(self.evalset, "search")
        return metrics_of(self.evalset, "search", "answer")

    async def _ask(self, case: Case) -> Trace:
        question = Question(
            text=case.question,
            user_id="eval",
            door="eval",
            kb=self.kb,
            prompts=self.variant.prompts,
            model=self.variant.model,
            history=messages(case.history),
            run_id=self.run_id,
            case_id=case.case_id,
        )
        if self.variant.only == "retrieval":
            return await self.pipeline.retrieve(question)
        last = await last_event(self.pipeline.answer(question))
        if isinstance(last, Answer) and last.trace is not None:
            return last.trace
        if isinstance(last, Failed):
            raise CaseFailed(f"{last.code}: {last.message}", last.turn_id)
        raise CaseFailed("the turn ended without an answer", None)

    def _score(self, case: Case, trace: Trace, timed: bool) -> list[Measured]:
        """Score a turn; "completed" comes last, for a case with that one is finished."""
        metrics = [*self._metrics(), timing.COMPLETED]
        if self.variant.only == "retrieval":
            metrics.insert(-1, replace(timing.SECONDS, about="turn"))
        scores = without_unknown(measure(metrics, case, trace), trace)
        if served(trace.usages):
            return _without(scores, (*TIMES, timing.COST), "answered from the eval cache")
        return scores if timed else _without(scores, TIMES, "asked again, after the others")


def _without(scores: Sequence[Measured], metrics: Sequence[Metric], why: str) -> list[Measured]:
    names = {metric.name for metric in metrics}
    return [
        replace(skipped(why), name=score.name) if score.name in names and not score.failed else score
        for score in scores
    ]
