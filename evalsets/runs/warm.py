"""Warms what the first turn would wait for, so that no measured case carries a cold start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pipeline.events import Question

if TYPE_CHECKING:
    from pipeline.turn import Pipeline

WARMING = "warm-up"  # the id in the place of a run's


async def warm(pipeline: Pipeline, kb: str | None, question: str, models: Iterable[str]) -> None:
    """Load what turns need, SDKs and prices of these models too, and hold one free turn by ourselves."""
    await pipeline.knowledge.embedder.embed_query("warm up")
    await pipeline.retriever.warm()
    await pipeline.gateway.warm(*(name for name in models if name != "extractive"))
    opening = Question(question, user_id="eval", door="eval", kb=kb, model="extractive", run_id=WARMING)
    async for _ in pipeline.answer(opening):
        pass
