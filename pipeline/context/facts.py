"""What a user said of themselves and would not want to say twice, taken from questions by rules.

Only plain first-person statements count; a question, a mood or a fault of the moment ("my screen is
black") does not, and secrets are never kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.events import Message
from pipeline.text.sentences import STOP_WORDS, rarity, sentences, stem, tokens, words

LONGEST = 200  # characters of a statement; more is a story
PER_TURN = 5
RECALLED = 5  # facts that go into one prompt
PER_USER = 100  # the oldest go first

_SINGLE = r"name|role|job|title|team|department|company|employer|boss|manager|timezone|time zone|birthday"
_THINGS = r"laptop|computer|pc|phone|tablet|printer|router|monitor|keyboard|browser|distro|distribution"
_OTHERS = r"os|operating system|version|language|city|country|plan|subscription|project|favou?rite \w+"
_MINE = re.compile(
    rf"\bmy (?:current |new |work |home |preferred )?({_SINGLE}|{_THINGS}|{_OTHERS})"
    r" (?:is|are|runs|has)\b(?! not\b| broken| slow| dead| gone| stuck| frozen)(?=.*\w)",
    re.IGNORECASE,
)
_NAME = re.compile(r"\b(?:call me|i am called|i'm called)\s+\w", re.IGNORECASE)
_ROLE = re.compile(
    r"\bi(?:'m| am) (?:an?|the|one of the)\s+(?!bit|little|lot|few|while)(?=\w)", re.IGNORECASE
)
_HABIT = re.compile(
    r"\bi (?:always |usually |mostly |only |now )?(use|run|own|prefer|speak|study|live in|come from"
    r"|work (?:at|in|on|with|for|as)|am using|am on|have (?:an?|two|three|four|\d+))\s+"
    r"(?!problem|question|issue|trouble|error|bug|difficult|doubt|idea|feeling|look|hard time)(?=\w)",
    re.IGNORECASE,
)
_ORDER = re.compile(r"\b(?:please )?(?:remember|note|keep in mind)(?: that|:)?\s+(?=\w)", re.IGNORECASE)
_FORGET = re.compile(r"\s*(?:please )?forget (?:that |about )?(.+?)\W*", re.IGNORECASE)
_ASKING = re.compile(
    r"\W*(?:what|who|where|when|why|which|how|do|does|did|is|are|am|can|could|should|would|will|if)\b",
    re.IGNORECASE,
)
_PERSONAL = re.compile(r"\b(?:i|i'm|my|me|remember|note|keep in mind|forget)\b", re.IGNORECASE)
_SECRET = re.compile(
    r"password|passwort|passphrase|\bpin\b|secret|token|api.?key|credit card|iban|\bssn\b|social security"
    r"|\d(?:[ -]?\d){8}",
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


def personal(question: str) -> bool:
    """Say whether a question speaks of its author at all, which is cheap to tell."""
    return _PERSONAL.search(question) is not None


def stated(question: str) -> list[tuple[str, str]]:
    """Return the facts a question states, as (slot, text)."""
    statements: dict[str, str] = {}
    for start, end in sentences(question):
        text = question[start:end].strip()
        slot = None if len(text) > LONGEST or text.endswith("?") or _SECRET.search(text) else _slot(text)
        if slot is not None:
            statements[slot] = text
    return list(statements.items())[:PER_TURN]


def disowned(question: str) -> str | None:
    """Return what the user asks to forget ("forget my name"), or None."""
    match = _FORGET.fullmatch(question)
    return match[1] if match else None


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


def _slot(text: str) -> str | None:
    """Return what the statement is about, or None when it is no lasting statement."""
    order = _ORDER.search(text)
    if order:
        inner = text[order.end() :]
        return _slot(inner) or "noted " + " ".join(sorted(set(words(inner))))[:LONGEST]
    if _ASKING.match(text):
        return None
    if match := _MINE.search(text):
        return f"my {match[1].lower()}"
    if _NAME.search(text):
        return "my name"
    if _ROLE.search(text):
        return "i am"
    match = _HABIT.search(text)
    if match is None:
        return None
    verb = match[1].lower().removeprefix("am ").split()[0]
    return f"i {stem(verb)} {_head(text[match.end() :])}"


def _head(rest: str) -> str:
    """Return the word that says what is used or owned: "Fedora 41" and "Fedora 40" are one thing."""
    stems = [stem(token) for token in tokens(rest) if token not in STOP_WORDS and token.isalpha()]
    return stems[0] if stems else ""
