"""Measures how often the classifier of complexity sends a question the wrong way, without any model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evalsets.cases.evalset import Evalset, messages
from evalsets.metrics.stats import wilson
from pipeline.context.condenser import needs_history
from pipeline.errors import AnswerdeckError
from pipeline.events import Question
from pipeline.steps.routing import Complexity, complexity
from pipeline.turn import Pipeline
from traces.records import Case

LABELS = ("simple", "complex")


@dataclass(frozen=True, slots=True)
class Routed:
    """A labelled question and what the classifier made of it."""

    case: Case
    label: str
    complexity: Complexity

    @property
    def wrong(self) -> bool:
        return self.complexity.complex != (self.label == "complex")


@dataclass(frozen=True, slots=True)
class Misroutes:
    """The share of questions sent the wrong way, with its 95 % interval (Wilson)."""

    part: str
    n: int
    wrong: int
    low: float
    high: float
    simple: int
    simple_to_strong: int  # costs money
    complex: int
    complex_to_cheap: int  # costs quality

    @property
    def rate(self) -> float:
        return self.wrong / self.n


async def route(
    cases: Evalset, pipeline: Pipeline, kb: str | None, progress: Callable[[int, int], None] | None = None
) -> list[Routed]:
    """Retrieve for each labelled case and classify it, as a turn does."""
    labelled = [(case, label) for case in cases.cases for label in LABELS if label in (case.tags or ())]
    if not labelled:
        raise AnswerdeckError(f"evalset {cases.name!r} has no case tagged {' or '.join(LABELS)}")
    answers: list[Routed] = []
    for done, (case, label) in enumerate(labelled, 1):
        history = messages(case.history)
        trace = await pipeline.retrieve(Question(case.question, door="eval", kb=kb, history=history))
        shown = trace.passages[: pipeline.rules.passages]
        leans = bool(history) and needs_history(case.question, history)
        answers.append(Routed(case, label, complexity(case.question, shown, needed_history=leans)))
        if progress is not None:
            progress(done, len(labelled))
    return answers


def misroutes(routed: list[Routed], part: str = "all") -> Misroutes:
    """Count what went the wrong way; `part` is a tag, or all."""
    chosen = [turn for turn in routed if part == "all" or part in (turn.case.tags or ())]
    sent = {label: [turn.wrong for turn in chosen if turn.label == label] for label in LABELS}
    wrong = sum(turn.wrong for turn in chosen)
    low, high = wilson(wrong / len(chosen), len(chosen))
    simple, hard = sent["simple"], sent["complex"]
    return Misroutes(part, len(chosen), wrong, low, high, len(simple), sum(simple), len(hard), sum(hard))
