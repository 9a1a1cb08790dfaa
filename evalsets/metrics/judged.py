"""The metrics that a judge scores: what each needs and how much it asks.

METRICS are RAGAS's (0.4.3), known here without importing RAGAS; `marked` makes one of a team's criterion.
"""

from __future__ import annotations

from dataclasses import dataclass

from evalsets.cases.rubric import Criterion
from evalsets.metrics.metric import About, Metric
from pipeline.text.tokens import estimate
from traces.records import Case, RunSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(Metric):
    """A metric with its inputs, and its calls and input tokens as `fixed + each * passages`.

    `of_search` ones look at the passages only, so that they apply whatever became of the answer; those
    with `abstentions` apply to refusals too. `beside` are inputs shown where there are any.
    """

    needs: tuple[str, ...]
    calls: tuple[int, int]
    prompt_tokens: int  # of the constant part of one call, averaged over its calls
    texts: tuple[tuple[str, int, int], ...]  # (input, times sent, and times more for each passage)
    beside: tuple[str, ...] = ()
    of_search: bool = False
    abstentions: bool = False
    about: About = "judge"
    criterion: Criterion | None = None  # of the team's own; None is one of RAGAS's


def _with_reference(case: Case) -> bool:
    return bool(case.reference)


def _states(case: Case) -> bool:
    return case.answerability != "conversational"


METRICS = (
    Judged(
        name="faithfulness",
        title="Faithfulness",
        what="share of the answer's statements that a judge finds in the passages",
        applies=_states,
        needs=("user_input", "response", "retrieved_contexts"),
        calls=(2, 0),
        prompt_tokens=800,
        texts=(("user_input", 1, 0), ("response", 2, 0), ("retrieved_contexts", 1, 0)),
    ),
    Judged(
        name="answer_relevancy",
        title="Answer relevancy",
        what="how well the question can be told from the answer",
        applies=_states,
        needs=("user_input", "response"),
        calls=(3, 0),
        prompt_tokens=500,
        texts=(("response", 3, 0),),
    ),
    Judged(
        name="context_precision",
        title="Context precision",
        what="useful passages stand before useless ones, for a judge",
        applies=_with_reference,
        needs=("user_input", "reference", "retrieved_contexts"),
        calls=(0, 1),
        prompt_tokens=1200,
        texts=(("user_input", 0, 1), ("reference", 0, 1), ("retrieved_contexts", 1, 0)),
        of_search=True,
    ),
    Judged(
        name="context_recall",
        title="Context recall",
        what="share of the reference's statements found in the passages",
        applies=_with_reference,
        needs=("user_input", "reference", "retrieved_contexts"),
        calls=(1, 0),
        prompt_tokens=1700,
        texts=(("user_input", 1, 0), ("reference", 1, 0), ("retrieved_contexts", 1, 0)),
        of_search=True,
    ),
    Judged(
        name="factual_correctness",
        title="Factual correctness",
        what="F1 of the answer's claims with the reference's",
        applies=lambda case: _states(case) and _with_reference(case),
        needs=("response", "reference"),
        calls=(4, 0),
        prompt_tokens=800,
        texts=(("response", 3, 0), ("reference", 3, 0)),
    ),
    Judged(
        name="noise_sensitivity",
        title="Noise sensitivity",
        what="share of wrong statements that passages led to",
        applies=lambda case: _states(case) and _with_reference(case),
        better="lower",
        needs=("user_input", "response", "reference", "retrieved_contexts"),
        calls=(3, 2),
        prompt_tokens=900,
        texts=(
            ("user_input", 2, 0),
            ("response", 2, 1),
            ("reference", 2, 1),
            ("retrieved_contexts", 2, 0),
        ),
    ),
)


MARKED = "rubric_"  # how the names of metrics of a team's criteria begin
RUBRIC_TOKENS = 150  # of the prompt without the criterion


def marked(criterion: Criterion) -> Judged:
    """Return the metric of a team's criterion."""
    passages = ("retrieved_contexts",) if criterion.passages else ()
    beside = ("reference", *passages)
    return Judged(
        name=criterion.metric,
        title=f"Rubric: {criterion.name.replace('_', ' ')}",
        what=criterion.text or "how well the answer meets the team's criterion, marked by a judge",
        needs=("user_input", "response"),
        beside=beside,
        calls=(1, 0),
        prompt_tokens=RUBRIC_TOKENS + estimate(criterion.text),
        texts=tuple((name, 1, 0) for name in ("user_input", "response", *beside)),
        abstentions=criterion.abstentions,
        criterion=criterion,
    )


def criteria(settings: RunSettings) -> list[str]:
    """Return the metrics of the team's criteria that a judge has marked in a run."""
    marks = any(scorer.startswith("rubric@") for scorer in settings.judges)
    return [f"{MARKED}{name}" for name in settings.rubric] if marks else []
