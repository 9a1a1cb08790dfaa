"""What a judge is about to take before there are answers: they are taken to be of usual length."""

from __future__ import annotations

from console.commands.judges import chosen
from evalsets.cases.evalset import Evalset
from evalsets.judges.judge_metrics import JudgingEstimate, Sample, estimate
from evalsets.runs.estimate import ANSWER_TOKENS, Estimate
from evalsets.runs.runner import Plan
from pipeline import build
from pipeline.settings import load_settings

TOKEN_CHARACTERS = 4
PASSAGE_CHARACTERS = 1_200  # of a usual passage


def expect_judge(cases: Evalset, plan: Plan, runs: int, judge: str, metrics: str | None) -> Estimate:
    """Return what judging that many runs takes; at most when every answer is as long as it may be."""
    longest = load_settings().models.max_output_tokens
    usual, most = (_judging(cases, plan, judge, metrics, tokens) for tokens in (ANSWER_TOKENS, longest))
    return Estimate(
        runs * usual.calls,
        runs * usual.input_tokens,
        runs * usual.output_tokens,
        None if usual.usd is None else runs * usual.usd,
        None if most.usd is None else runs * most.usd,
        usual.price_version,
    )


def _judging(
    cases: Evalset, plan: Plan, judge: str, metrics: str | None, answer_tokens: int
) -> JudgingEstimate:
    settings = load_settings()
    answer = "x" * TOKEN_CHARACTERS * answer_tokens
    passages = ("x" * PASSAGE_CHARACTERS,) * settings.retrieval.passages
    chosen_cases = cases.some(plan.limit, plan.seed).cases * plan.repetitions
    samples = [
        Sample(
            case.case_id,
            case.question,
            answer,
            passages,
            case.reference or "",
            answerability=case.answerability,
        )
        for case in chosen_cases
    ]
    return estimate(samples, chosen(metrics, cases.rubric), judge, build.prices(settings))
