"""Remembers what models answered in evals, so that the same question under the same prompt is free."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from evalsets.judges.cache import JudgeCache, KeptReply
from pipeline.configuration.data_folder import DataFolder
from pipeline.models.model import Model, ModelEvent, Prompt, Stop, Text, Tokens
from traces.records import Usage

SERVED = "eval cache"  # what stands in the place of a price table's version
REPETITION: ContextVar[int] = ContextVar("repetition", default=1)  # each one is asked anew


class RememberedModel:
    """A model whose whole answers are kept under the hash of all that shaped them."""

    def __init__(self, model: Model, cache: JudgeCache) -> None:
        self.name = model.name
        self._model = model
        self._cache = cache

    async def stream(self, prompt: Prompt, seconds: float) -> AsyncGenerator[ModelEvent]:
        """Yield the answer kept for this prompt, at no cost; else the model's, and keep it when whole."""
        key = self._key(prompt)
        reply = self._cache.get(key)
        if reply is not None:
            answer = json.loads(reply.text)
            yield Text(answer["text"])
            yield Stop(answer["reason"], Tokens(0, 0), reply.model, answer["abstained"], cache=SERVED)
            return
        texts: list[str] = []
        async with aclosing(self._model.stream(prompt, seconds)) as events:
            async for event in events:
                if isinstance(event, Text):
                    texts.append(event.text)
                elif texts and event.cut is None and event.degraded is None:
                    self._keep(key, "".join(texts), event)
                yield event

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)  # what only some models have, such as warm and close

    def _keep(self, key: str, text: str, stop: Stop) -> None:
        answer = {"text": text, "reason": stop.reason, "abstained": stop.abstained}
        reply = KeptReply(json.dumps(answer), stop.model, stop.tokens.input_tokens, stop.tokens.output_tokens)
        self._cache.put(key, reply)

    def _key(self, prompt: Prompt) -> str:
        messages = [(message.role, message.text) for message in prompt.messages]
        where = str(getattr(self._model, "base_url", ""))
        shaped = [self.name, where, prompt.system, messages, prompt.max_output_tokens, REPETITION.get()]
        return hashlib.sha256(json.dumps(shaped).encode()).hexdigest()


def remember(pipeline: Any, data_dir: Path) -> None:
    """Let the provider models of a pipeline answer from the cache of this data folder."""
    cache = JudgeCache(DataFolder(data_dir).answer_cache)
    pipeline.gateway.wrap(
        lambda model: model if model.name == "extractive" else RememberedModel(model, cache)
    )


def served(usages: Iterable[Usage]) -> bool:
    """Say whether any call of a turn came from the cache: its time and cost are not the model's."""
    return any(usage.price_version == SERVED for usage in usages)
