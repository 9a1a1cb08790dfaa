"""Says before a run what it will cost: prompts are assembled for a few cases, no model is called."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from evalsets.cases.evalset import Evalset, messages
from evalsets.runs.asker import Variant
from pipeline.context.assemble import assemble
from pipeline.errors import KnowledgeError
from pipeline.models.model import Tokens
from pipeline.models.prices import Prices
from pipeline.models.usage import estimate_tokens
from pipeline.turn import Pipeline
from traces.ids import uuid7
from traces.recorder import Nowhere, Recorder
from traces.records import Case, Turn

LOOKED_AT = 12  # cases whose prompts are assembled
ANSWER_TOKENS = 250  # of a usual answer


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run is about to take. `usd` is None when the model has no known price."""

    calls: int
    input_tokens: int
    output_tokens: int
    usd: float | None
    most_usd: float | None  # when every answer is as long as it may be
    price_version: str | None

    def __str__(self) -> str:
        tokens = f"{self.calls:,} calls, about {self.input_tokens:,} tokens in and {self.output_tokens:,} out"
        if self.usd is None:
            return f"{tokens}; no price is known"
        return f"{tokens}; about ${self.usd:.2f}, at most ${self.most_usd:.2f} ({self.price_version})"


async def estimate(
    evalset: Evalset,
    variant: Variant,
    pipeline: Pipeline,
    prices: Prices,
    *,
    kb: str | None,
    repetitions: int,
) -> Estimate:
    """Return what asking every case takes, from the prompts of a seeded few; follow-ups count twice."""
    variant = variant.pinned(pipeline)
    calls = len(evalset.cases) * repetitions
    if variant.only or variant.model in (None, "extractive"):
        return Estimate(0, 0, 0, 0.0, 0.0, "built-in")
    sizes = [await _prompt_tokens(case, variant, pipeline, kb) for case in evalset.some(LOOKED_AT).cases]
    calls += sum(bool(case.history) for case in evalset.cases) * repetitions  # rewriting the follow-up
    input_tokens = round(sum(sizes) / len(sizes)) * calls
    usual, most = ANSWER_TOKENS * calls, pipeline.rules.max_output_tokens * calls
    assert variant.model is not None
    cost = prices.cost(variant.model, Tokens(input_tokens, usual))
    highest = prices.cost(variant.model, Tokens(input_tokens, most))
    return Estimate(calls, input_tokens, usual, cost.usd, highest.usd, cost.version)


async def _prompt_tokens(case: Case, variant: Variant, pipeline: Pipeline, kb: str | None) -> int:
    recorder = Recorder(
        Turn(uuid7(), uuid7(), "eval", "eval", datetime.now(UTC), case.question, "failed"), Nowhere()
    )
    version = pipeline.prompts.get(variant.prompt or pipeline.force.label("answer"))
    history = messages(case.history)
    try:
        retrieved = await pipeline.retriever.retrieve(case.question, kb or pipeline.rules.kb, recorder)
    except KnowledgeError:
        return 0  # the run itself says what is wrong
    rules = pipeline.rules
    prompt = assemble(
        version,
        case.question,
        case.question,
        history,
        retrieved,
        passages=rules.passages,
        context_tokens=rules.context_tokens,
        max_output_tokens=rules.max_output_tokens,
    )
    return estimate_tokens(prompt, 0).input_tokens or 0
