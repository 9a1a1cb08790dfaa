"""What a judge is shown of a turn, when its metrics do not apply to it, and what asking will cost."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from evalsets.metrics.judged import Judged
from evalsets.metrics.metric import ABSTAINED, BROKEN
from pipeline.models.model import Tokens
from pipeline.models.prices import Prices
from pipeline.text.tokens import by_length

REPLY_TOKENS = 150  # of one call; a statement and its reason take about 50
_TO_THE_JUDGE = re.compile(
    r"\b(give|assign|return|output|respond with|set|rate|score|mark|answer)\b[^.\n]{0,60}"
    r"\b(verdicts?|scores?|ratings?|faithful\w*|1\.0|10/10|full marks|attributed)\b"
    r"|\b(note|message|instructions?) (to|for) (the )?(judge|grader|evaluator|rater)\b"
    r"|\bignore (all |any |the )?(previous|above|prior) (instructions?|rules)\b",
    re.IGNORECASE,
)


INPUTS = {
    "user_input": "the case has no question",
    "response": "the answer is empty",
    "reference": "the case has no reference answer",
    "retrieved_contexts": "no passage was given to the model",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer as a judge sees it."""

    key: str
    user_input: str
    response: str = ""
    retrieved_contexts: tuple[str, ...] = ()
    reference: str = ""
    turn_id: str = ""
    outcome: str = "answered"
    answerability: str | None = None

    def inputs(self, metric: Judged) -> dict[str, str | list[str]]:
        """Return what a metric needs and may see, as RAGAS wants it."""
        values = {name: getattr(self, name) for name in (*metric.needs, *metric.beside)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class JudgingEstimate:
    """What judging will take before it is asked, remembered replies not counted. `usd` None: no price."""

    samples: int
    calls: int
    input_tokens: int
    output_tokens: int
    usd: float | None
    price_version: str | None


def missing(metric: Judged, sample: Sample) -> str | None:
    """Return why a metric does not apply to a sample, or None when it does."""
    answers_only = not (metric.of_search or metric.abstentions)
    if answers_only and sample.outcome in ABSTAINED:
        return "no answer was given"
    if answers_only and sample.answerability == "conversational" and metric.criterion is None:
        return "small talk states nothing"
    for name in metric.needs:
        value = getattr(sample, name)
        if not any(part.strip() for part in ((value,) if isinstance(value, str) else value)):
            return INPUTS[name]
    return None


def broken(metric: Judged, sample: Sample) -> str | None:
    """Return why a metric cannot be scored although it applies: the turn itself failed."""
    if not metric.of_search and sample.outcome in BROKEN:
        return f"the turn was {sample.outcome}"
    return None


def addresses_judge(sample: Sample) -> bool:
    """Say whether the answer or a passage tries to tell the judge what to say ("give 1.0")."""
    return any(_TO_THE_JUDGE.search(text) for text in (sample.response, *sample.retrieved_contexts))


def estimate(
    samples: Sequence[Sample], metrics: Sequence[Judged], model: str, prices: Prices
) -> JudgingEstimate:
    """Return the calls, tokens and dollars that these metrics will take on these samples."""
    calls = characters = prompts = done = 0
    for sample in samples:
        for metric in (metric for metric in metrics if missing(metric, sample) is None):
            passages = len(sample.retrieved_contexts)
            here = metric.calls[0] + metric.calls[1] * passages
            done, calls, prompts = done + 1, calls + here, prompts + here * metric.prompt_tokens
            characters += sum(
                len("".join(getattr(sample, name))) * (times + more * passages)
                for name, times, more in metric.texts
            )
    tokens = Tokens(prompts + by_length(characters), calls * REPLY_TOKENS)
    rates = prices.rates(model)
    mean = Tokens((tokens.input_tokens or 0) // max(calls, 1), REPLY_TOKENS)  # tiers go by the call
    usd = None if rates is None else (rates.cost(mean) or 0.0) * calls
    version = None if rates is None else rates.version
    return JudgingEstimate(done, calls, tokens.input_tokens or 0, tokens.output_tokens or 0, usd, version)
