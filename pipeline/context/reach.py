"""How far memory goes back in a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.events import Message
from pipeline.text.tokens import estimate


@dataclass(frozen=True, slots=True)
class Reach:
    """How far memory goes back: so many turns, as long as they fit so many tokens."""

    turns: int = 6
    tokens: int = 1500

    def within(self, exchanges: Sequence[tuple[str, str]]) -> tuple[Message, ...]:
        """Return those of (question, answer), newest first, that are recalled, as messages, oldest first."""
        messages: list[Message] = []
        budget = self.tokens
        for question, answer in exchanges[: self.turns]:
            budget -= estimate(question) + estimate(answer)
            if budget < 0:
                break
            messages += [Message("assistant", answer), Message("user", question)]
        return tuple(reversed(messages))
