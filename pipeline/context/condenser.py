"""Makes a follow-up question stand alone before it is searched for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

from pipeline.context.condense import needs_history, rewrite
from pipeline.errors import ModelError
from pipeline.events import Message
from pipeline.knowledge.found import Retrieved
from pipeline.models.gateway import Gateway
from pipeline.models.model import Prompt, Text
from pipeline.prompts.library import PromptVersion
from traces.recorder import Recorder

LONGEST = 400  # characters of a rewritten question; more is not a question


class Condenser:
    """Rewrites by rules, or by the model when one is given."""

    def __init__(self, gateway: Gateway | None, seconds: float = 6.0) -> None:
        self._gateway = gateway
        self._seconds = seconds

    async def condense(
        self,
        question: str,
        history: Sequence[Message],
        version: PromptVersion,
        recorder: Recorder,
        *,
        model: str | None = None,
    ) -> str:
        """Return the question as it stands alone; unchanged when it needs no history."""
        if not history or not needs_history(question, tuple(history)):
            return question
        with recorder.span("condense", "memory", prompt=version.label) as span:
            by_rules = rewrite(question, tuple(history))
            if self._gateway is None or model == "extractive":
                span.note(by="rules", query=by_rules)
                return by_rules
            try:
                query = await self._ask(question, history, version, recorder, model)
            except ModelError as error:
                span.note(by="rules", error_class=error.error_class, query=by_rules)
                return by_rules
            query = query if 0 < len(query) <= LONGEST else by_rules
            span.note(by="model", query=query)
            return query

    async def _ask(
        self,
        question: str,
        history: Sequence[Message],
        version: PromptVersion,
        recorder: Recorder,
        model: str | None,
    ) -> str:
        assert self._gateway is not None
        conversation = "\n".join(f"{message.role}: {message.text}" for message in history)
        system, user = version.fill(conversation=conversation, question=question)
        nothing = Retrieved(question, None, (), "", None, None)
        prompt = Prompt(system, (Message("user", user),), question, nothing, max_output_tokens=200)
        pieces: list[str] = []
        stream = self._gateway.stream(prompt, recorder, self._seconds, purpose="condense", model=model)
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, Text):
                    pieces.append(event.text)
                elif event.degraded or event.cut:
                    raise ModelError(event.degraded or event.cut or "cut", "the model could not rewrite")
        return " ".join("".join(pieces).split())
