"""A model that says what it is told to: the fake we ship for tests and rehearsals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

from pipeline.errors import ModelError
from pipeline.models.model import ModelEvent, Prompt, Stop, Text, Tokens
from pipeline.text.tokens import estimate

Reply = str | ModelError | Sequence[str | float | ModelError]


class Scripted:
    """Answers each call with the next reply; a ModelError in the script is raised.

    A reply is a string (streamed word by word), or a list of strings, pauses in seconds and
    ModelErrors (streamed piece by piece), or a function that gives one for a prompt. The last
    reply repeats.
    `prompts` keeps what was asked.
    """

    def __init__(
        self,
        *replies: Reply | Callable[[Prompt], Reply],
        name: str = "scripted",
        gap_seconds: float = 0.0,
    ) -> None:
        self.name = name
        self.prompts: list[Prompt] = []
        self.closed = 0
        self._gap = gap_seconds
        self.script(*replies)

    def script(self, *replies: Reply | Callable[[Prompt], Reply]) -> None:
        """Answer with these replies from now on."""
        self._replies = replies or ("",)
        self._spoken = 0

    async def stream(self, prompt: Prompt, seconds: float) -> AsyncGenerator[ModelEvent]:
        reply = self._replies[min(self._spoken, len(self._replies) - 1)]
        self._spoken += 1
        self.prompts.append(prompt)
        reply = reply(prompt) if callable(reply) else reply
        words = 0
        try:
            for piece in _pieces(reply):
                if isinstance(piece, ModelError):
                    raise piece
                if isinstance(piece, float | int):
                    await asyncio.sleep(piece)
                    continue
                await asyncio.sleep(self._gap)
                words += 1
                yield Text(piece)
            tokens = Tokens(input_tokens=estimate(prompt.render()), output_tokens=words)
            yield Stop("stop", tokens, self.name)
        finally:
            self.closed += 1


def _pieces(reply: Reply) -> Sequence[str | float | ModelError]:
    if isinstance(reply, ModelError):
        return [reply]
    if isinstance(reply, str):
        return [word + " " for word in reply.split(" ")[:-1]] + reply.split(" ")[-1:]
    return reply
