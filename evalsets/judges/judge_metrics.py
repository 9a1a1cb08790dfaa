"""The metrics a judge scores: what each needs, what it takes, and when it does not apply.

They are RAGAS's (0.4.3); this file knows them without importing RAGAS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalsets.metrics.answer import ABSTAINED, BROKEN
from pipeline.models.model import Tokens
from pipeline.models.prices import Prices

CHARACTERS_PER_TOKEN = 4
REPLY_TOKENS = 150  # of one call; a statement and its reason take about 50
_TO_THE_JUDGE = re.compile(
    r"\b(give|assign|return|output|respond with|set|rate|score|mark|answer)\b[^.\n]{0,60}"
    r"\b(verdicts?|scores?|ratings?|faithful\w*|1\.0|10/10|full marks|attributed)\b"
    r"|\b(note|message|instructions?) (to|for) (the )?(judge|grader|evaluator|rater)\b"
    r"|\bignore (all |any |the )?(previous|above|prior) (instructions?|rules)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A metric: its inputs, and its calls and input tokens as `fixed + each * passages`."""

    name: str
    needs: tuple[str, ...]
    calls: tuple[int, int]
    prompt_tokens: int  # of the constant part of one call, averaged over its calls
    texts: tuple[tuple[str, int, int], ...]  # (input, times sent, and times more for each passage)


_ALL = (
    Judged(
        "faithfulness",
        ("user_input", "response", "retrieved_contexts"),
        (2, 0),
        800,
        (("user_input", 1, 0), ("response", 2, 0), ("retrieved_contexts", 1, 0)),
    ),
    Judged("answer_relevancy", ("user_input", "response"), (3, 0), 500, (("response", 3, 0),)),
    Judged(
        "context_precision",
        ("user_input", "reference", "retrieved_contexts"),
        (0, 1),
        1200,
        (("user_input", 0, 1), ("reference", 0, 1), ("retrieved_contexts", 1, 0)),
    ),
    Judged(
        "context_recall",
        ("user_input", "reference", "retrieved_contexts"),
        (1, 0),
        1700,
        (("user_input", 1, 0), ("reference", 1, 0), ("retrieved_contexts", 1, 0)),
    ),
    Judged(
        "factual_correctness",
        ("response", "reference"),
        (4, 0),
        800,
        (("response", 3, 0), ("reference", 3, 0)),
    ),
    Judged(
        "noise_sensitivity",
        ("user_input", "response", "reference", "retrieved_contexts"),
        (3, 2),
        900,
        (("user_input", 2, 0), ("response", 2, 1), ("reference", 2, 1), ("retrieved_contexts", 2, 0)),
    ),
)
JUDGED = {one.name: one for one in _ALL}
ABOUT_RETRIEVAL = ("context_precision", "context_recall")
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

    def inputs(self, names: Iterable[str]) -> dict[str, str | list[str]]:
        """Return the named inputs as RAGAS wants them."""
        found = {name: getattr(self, name) for name in names}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


@dataclass(frozen=True, slots=True)
class Estimate:
    """What judging will take before it is asked, remembered replies not counted. `usd` None: no price."""

    samples: int
    calls: int
    input_tokens: int
    output_tokens: int
    usd: float | None
    price_version: str | None


def missing(metric: str, sample: Sample) -> str | None:
    """Return why a metric does not apply to a sample, or None when it does."""
    about_answer = metric not in ABOUT_RETRIEVAL
    if about_answer and sample.outcome in ABSTAINED:
        return "no answer was given"
    if about_answer and sample.answerability == "conversational":
        return "small talk states nothing"
    for name in JUDGED[metric].needs:
        value = getattr(sample, name)
        if not any(part.strip() for part in ((value,) if isinstance(value, str) else value)):
            return INPUTS[name]
    return None


def broken(metric: str, sample: Sample) -> str | None:
    """Return why a metric cannot be scored although it applies: the turn itself failed."""
    if metric not in ABOUT_RETRIEVAL and sample.outcome in BROKEN:
        return f"the turn was {sample.outcome}"
    return None


def addresses_judge(sample: Sample) -> bool:
    """Say whether the answer or a passage tries to tell the judge what to say ("give 1.0")."""
    return any(_TO_THE_JUDGE.search(text) for text in (sample.response, *sample.retrieved_contexts))


def estimate(samples: Sequence[Sample], metrics: Sequence[str], model: str, prices: Prices) -> Estimate:
    """Return the calls, tokens and dollars that these metrics will take on these samples."""
    calls = characters = prompts = done = 0
    for sample in samples:
        for metric in (JUDGED[name] for name in metrics if missing(name, sample) is None):
            passages = len(sample.retrieved_contexts)
            here = metric.calls[0] + metric.calls[1] * passages
            done, calls, prompts = done + 1, calls + here, prompts + here * metric.prompt_tokens
            characters += sum(
                len("".join(getattr(sample, name))) * (times + more * passages)
                for name, times, more in metric.texts
            )
    tokens = Tokens(prompts + characters // CHARACTERS_PER_TOKEN, calls * REPLY_TOKENS)
    rates = prices.rates(model)
    mean = Tokens((tokens.input_tokens or 0) // max(calls, 1), REPLY_TOKENS)  # tiers go by the call
    usd = None if rates is None else (rates.cost(mean) or 0.0) * calls
    version = None if rates is None else rates.version
    return Estimate(done, calls, tokens.input_tokens or 0, tokens.output_tokens or 0, usd, version)
