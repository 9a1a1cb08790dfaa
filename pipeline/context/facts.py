"""What a user stated of themselves and would not want to say twice, and what of it matters to a question."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.context.statements import corrected
from pipeline.events import Message
from pipeline.text.sentences import rarity, words

RECALLED = 5  # facts that go into one prompt
EMENDABLE = 2  # turns back in the conversation that a correction may mean
PER_USER = 100  # the oldest go first

_FORGET = re.compile(
    r"\s*(?:(?:please|can you|could you|you can|you may) )*(?:forget|don't remember|do not remember)"
    r" (?:that |about |what i (?:said|told you|wrote)(?: you)?(?: about| of)? )?(.+?)\W*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A statement of a user about themselves; a later one with the same `slot` replaces it."""

    fact_id: str
    slot: str
    text: str
    turn_id: str
    said_at: str  # ISO 8601, UTC

    def to_dict(self) -> dict[str, str]:
        """Return what the user may see of it."""
        return {
            "fact_id": self.fact_id,
            "text": self.text,
            "turn_id": self.turn_id,
            "said_at": self.said_at,
        }


@dataclass(frozen=True, slots=True)
class Recollection:
    """What is remembered for a turn beside the last turns: a summary of older ones, and facts."""

    summary: str | None = None
    facts: tuple[Fact, ...] = ()
    emended: bool = False  # whether the question corrects a fact stated just before

    def messages(self) -> tuple[Message, ...]:
        """Return it as an exchange to put before the conversation; nothing when there is nothing."""
        parts = []
        if self.facts:
            parts.append("About me:\n" + "\n".join(f"- {fact.text}" for fact in self.facts))
        if self.summary:
            parts.append(f"What we spoke of before:\n{self.summary}")
        if not parts:
            return ()
        return Message("user", "\n\n".join(parts)), Message("assistant", "I will keep that in mind.")

    def to_dict(self) -> dict[str, Any] | None:
        """Return it as callers see it, each fact with the turn it was stated in; None when empty."""
        if self.summary is None and not self.facts:
            return None
        return {"summary": self.summary, "facts": [fact.to_dict() for fact in self.facts]}


NOTHING = Recollection()


def disowned(question: str) -> str | None:
    """Return what the user asks to forget ("forget my name"), or None."""
    match = _FORGET.fullmatch(question)
    return match[1] if match else None


def emended(question: str, facts: Sequence[Fact], recent: Container[str]) -> list[tuple[str, str]]:
    """Return what a question such as "no, it is the south now" puts in place of the fact stated last.

    Only a fact of one of the `recent` turns can be meant. Empty when the question corrects nothing.
    """
    last = next((fact for fact in facts if fact.turn_id in recent), None)
    text = None if last is None else corrected(question, last.slot, last.text)
    return [] if last is None or text is None else [(last.slot, text)]


def forgettable(topic: str, facts: Sequence[Fact]) -> list[str]:
    """Return the ids of the facts that a wish to forget means."""
    if re.search(r"\b(?:everything|all)\b", topic, re.IGNORECASE):
        return [fact.fact_id for fact in facts]
    topic_words = set(words(topic))
    return [
        fact.fact_id
        for fact in facts
        if topic_words and topic_words <= {*words(fact.text), *fact.slot.split()}
    ]


def recalled(question: str, facts: Sequence[Fact], most: int = RECALLED) -> tuple[Fact, ...]:
    """Return the facts that matter to a question, the newest of them when all matter alike."""
    if len(facts) <= most:
        return tuple(facts)
    question_words = set(words(question))

    def nearness(fact: Fact) -> float:
        return sum(rarity(word) for word in question_words & set(words(fact.text)))

    newest = sorted(facts, key=lambda fact: fact.said_at, reverse=True)
    return tuple(sorted(newest, key=nearness, reverse=True)[:most])
