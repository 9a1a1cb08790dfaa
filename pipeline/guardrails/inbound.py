"""What a question must pass before anything is paid for: length, a few rules, then the classifier."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from pipeline.events import Message
from pipeline.guardrails.classifier import LANGUAGES, Buckets, Classifier, Label, Vector, buckets
from pipeline.guardrails.folding import clean, fold
from pipeline.guardrails.moderated import opinion
from pipeline.guardrails.moderator import GREY, Moderator
from pipeline.guardrails.quoting import own_words
from pipeline.guardrails.rules import RULES, Category, GuardRule, read
from pipeline.guardrails.weariness import ordinary
from pipeline.knowledge.embedding import EmbedError
from pipeline.text.languages import language
from pipeline.text.sentences import sentences
from pipeline.text.spelling import doubtful, slips

__all__ = ["RULES", "GuardRule", "GuardVerdict", "Inbound", "Policy", "clean"]

log = logging.getLogger(__name__)
Policy = Literal["block", "flag", "off"]
_WORD = re.compile(r"[a-z]+")
_LETTERS = re.compile(r"[^\W\d_]{4,}")
_SAID = re.compile(r"[^\W\d_]+")
_DISGUISED = re.compile(r"[a-z][\u0370-\u04ff]|[\u0370-\u04ff][a-z]", re.IGNORECASE)
DOUBTFUL = 0.5  # share of words English does not have, from which a text of no known language is foreign
TELLING = 3  # words from which on a sentence beside others gets a vector of its own
UNITS = 8  # sentences of one message that the classifier looks at by themselves, the worst words first
READ = 600  # characters of sentences beside others that get vectors in any case, the worst words first
MOST_READ = 2_000  # and when their words are suspicious; a run of READ without an end is no sentence
NEARLY = 0.2  # probability that is suspicious: by words alone, or of what a hasty text means
APART = 0.5  # log odds under the line, at which no sentence bears out what the whole seems to be
EMBED_SECONDS = 3.0  # after which the words must do
UNREAD = ("ru", "uk", "el")  # folded to Latin letters that look alike, so that no word of theirs is read
HISTORY = 12  # messages before the question that are looked at, the newest


@dataclass(frozen=True, slots=True)
class GuardVerdict:
    """A guard's decision. `rule` is "category:id"; `signs` names every rule that matched."""

    action: Literal["allow", "flag", "refuse"]
    rule: str | None = None
    message: str = ""
    signs: tuple[str, ...] = ()
    scores: Mapping[str, float] | None = None  # the classifier's highest probability for each label


class Embedding(Protocol):
    """Where the vectors come from; raises EmbedError."""

    async def embed_layers(self, text: str) -> Vector: ...


class Inbound:
    """Checks questions: rules for the obvious, then a classifier on each sentence and the whole.

    Without `embedder`, or when it fails, the classifier goes by words alone. Raises
    ConfigurationError when the rules or the weights are broken.
    """

    def __init__(
        self,
        *,
        question_characters: int = 4000,
        injection: Policy = "block",
        harm: Policy = "block",
        rules: Path = RULES,
        classifier: Classifier | None = None,
        embedder: Embedding | None = None,
        moderator: Moderator | None = None,
    ) -> None:
        self._classifier = classifier or Classifier()
        self._embedder = embedder
        self._moderator = moderator
        self._limit = question_characters
        self._policy: dict[Category, Policy] = {"injection": injection, "harm": harm}
        source = rules.read_bytes()
        self._rules, self._messages, self._signs = read(source, rules.name)
        policy = f"{question_characters} {injection} {harm} {self._classifier.fingerprint}"
        self.fingerprint = hashlib.sha256(source + policy.encode()).hexdigest()[:8]

    async def examine(self, text: str) -> GuardVerdict:
        """Return what to do with a question; the message is for its author."""
        verdict = self.check(text)
        if verdict.action == "refuse":
            return verdict
        scores = await self._scores(text)
        if scores.get("distress", (0.0, False))[1] and (own := own_words(text)) != text:
            scores["distress"] = (await self._scores(own))["distress"]
        if scores.get("distress", (0.0, False))[1] and ordinary(text):
            scores["distress"] = (scores["distress"][0], False)
        if scores.get("harm", (0.0, False))[1] and (meant := slips(text)) != text:
            meaning = (await self._scores(meant))["harm"]
            scores["harm"] = meaning if meaning[0] < NEARLY else scores["harm"]
        return self._classified(text, verdict, scores)

    async def conversation(
        self, text: str, history: Sequence[Message], system: str
    ) -> tuple[tuple[Message, ...], GuardVerdict]:
        """Return the earlier messages a model may read, and what to do with the whole.

        A hostile message that we refused goes, with the refusal: the conversation continues. One that
        was answered is refused now, since what follows would build on it. System text of a client is
        refused for harm alone: no model is handed it, and front ends write orders into it.
        """
        messages = self._without_refused(history)
        verdict = await self._moderated(text, await self.examine(text))
        earlier = [
            message.text for message in messages[-HISTORY:] if message.role == "user" and message.text.strip()
        ]
        for place, utterance in [*(("history", utterance) for utterance in earlier), ("system", system)]:
            if verdict.action == "refuse" or not utterance.strip():
                continue
            its = await self.examine(utterance[: self._limit])
            strict = its.action == "refuse" and (place == "history" or (its.rule or "").startswith("harm"))
            if strict:
                verdict = replace(its, rule=f"{place}:{its.rule}")
            elif its.signs:
                signs = (*verdict.signs, *(f"{place}:{sign}" for sign in its.signs))
                verdict = replace(verdict, action="flag", rule=verdict.rule or signs[0], signs=signs)
        return messages, verdict

    def _without_refused(self, history: Sequence[Message]) -> tuple[Message, ...]:
        """Return the messages without those that we refused."""
        messages: list[Message] = []
        for message in history:
            refusal = message.role == "assistant" and message.text.strip() in self._messages.values()
            if not refusal:
                messages.append(message)
            elif messages and messages[-1].role == "user":
                messages.pop()
        return tuple(messages)

    def check(self, text: str) -> GuardVerdict:
        """Return what form and rules say to a question."""
        if not text.strip():
            return GuardVerdict("refuse", "form:empty", self._message("empty", text))
        if len(text) > self._limit:
            message = self._message("length", text).format(characters=len(text), limit=self._limit)
            return GuardVerdict("refuse", "form:length", message)
        rules = [rule for rule in self.matches(text) if self._policy[rule.category] != "off"]
        return self._judge(text, rules)

    def matches(self, text: str) -> list[GuardRule]:
        """Return every rule that matches, whatever the policy."""
        folded = fold(text)
        words = set(_WORD.findall(folded))
        return [rule for rule in self._rules if rule.matches(folded, words)]

    def _judge(self, text: str, rules: list[GuardRule]) -> GuardVerdict:
        signs = tuple(rule.name for rule in rules)
        for category in ("injection", "harm"):
            matching = [rule for rule in rules if rule.category == category]
            blocking = next((rule for rule in matching if rule.severity == "block"), None)
            if blocking is None and len(matching) >= self._signs:
                blocking = matching[0]
            if blocking is not None and self._policy[category] == "block":
                return GuardVerdict("refuse", blocking.name, self._message(blocking.message, text), signs)
        return GuardVerdict("flag", signs[0], "", signs) if signs else GuardVerdict("allow")

    def _message(self, name: str, text: str) -> str:
        """Return a message, in the language of the text where there is one."""
        return self._messages.get(f"{name}_{language(text)}", self._messages[name])

    async def _moderated(self, text: str, verdict: GuardVerdict) -> GuardVerdict:
        """Return the verdict, made stricter by the moderator when the question is in the grey zone."""
        if self._moderator is None or verdict.action == "refuse":
            return verdict
        scores = verdict.scores or {}
        grey = {label: score for label, score in scores.items() if self._grey(label, score)}
        if not grey and verdict.action == "allow":
            return verdict
        view = await opinion(self._moderator, text, grey)
        signs = (*verdict.signs, *view.signs)
        if view.refusal is not None:
            message = self._message(view.message, text)
            return replace(verdict, action="refuse", rule=view.refusal, message=message, signs=signs)
        if not view.signs:
            return verdict
        return replace(verdict, action="flag", rule=verdict.rule or signs[0], signs=signs)

    def _grey(self, label: str, score: float) -> bool:
        for danger in ("harm", "injection", "distress"):
            if label == danger:
                return score >= GREY * self._classifier.threshold(danger, vector=True)
        return False

    def worded(self, message: str, code: str | None) -> str:
        """Return one of the messages in a language, where it is known here."""
        name = next((name for name, text in self._messages.items() if text == message), None)
        return message if name is None else self._messages.get(f"{name}_{code}", message)

    async def _scores(self, text: str) -> dict[Label, tuple[float, bool]]:
        """Return for each label the highest probability of the units, and whether it is over the line.

        The vector of several sentences is a mean that may be like harm when none of them is: the whole
        counts when one of its sentences comes near.
        """
        highest: dict[Label, tuple[float, bool]] = {}
        margins: list[float] = []
        read = telling = 0
        for unit, features in self._units(text):
            foreign, beside, unread = _foreign(unit), unit is not text, _unread(unit)
            if beside and self._passed_over(unit, features, read):
                continue
            looked_at = not (beside and _short(unit))
            vector = await self._vector(unit) if looked_at else None
            read += len(unit) if beside and looked_at else 0
            scores = self._against_lines(features, vector, foreign=foreign)
            for label, (score, line) in scores.items():
                unit_score = score, score >= line and not unread
                highest[label] = max(highest.get(label, (0.0, False)), unit_score, key=_by_line)
            if beside:
                margins.append(_odds(scores["harm"][0]) - _odds(scores["harm"][1]))
                telling += not _short(unit)
        if telling > 1 and max(margins) < -APART:
            highest["harm"] = (highest["harm"][0], False)
        return highest

    def _against_lines(
        self, features: Buckets, vector: Vector | None, *, foreign: bool
    ) -> dict[Label, tuple[float, float]]:
        """Return for each label the probability of a unit, and the line that it is held to."""
        classifier, seen = self._classifier, vector is not None
        return {
            label: (
                classifier.probability(label, features, vector, foreign=foreign),
                classifier.threshold(label, vector=seen, foreign=foreign),
            )
            for label in ("harm", "injection", "distress")
        }

    def _units(self, text: str) -> list[tuple[str, Buckets]]:
        """Return the whole text and its sentences, those with the worst words when there are many."""
        parts = list(dict.fromkeys(text[start:end] for start, end in sentences(text)))
        if sum(not _short(part) for part in parts[:64]) == 1:  # it is nearly the whole
            parts = [part for part in parts if _short(part)]
            parts = [text, *parts] if parts else []
        units = [
            (part, buckets(part))
            for part in parts[:64]
            if len(parts) > 1 and part is not text and any(map(str.isalpha, part))
        ]
        if len(units) > 1:
            units.sort(key=lambda unit: -self._worst_words(unit[1]))
        return [(text, buckets(text)), *units[:UNITS]]

    def _passed_over(self, unit: str, features: Buckets, read: int) -> bool:
        """Tell whether enough of a long message got vectors; suspicious words of a sentence ask for more."""
        if read < READ:
            return False
        return len(unit) >= READ or read >= MOST_READ or self._worst_words(features) < NEARLY

    def _worst_words(self, features: Buckets) -> float:
        return max(
            self._classifier.probability(label, features) for label in ("harm", "injection", "distress")
        )

    async def _vector(self, text: str) -> Vector | None:
        if self._embedder is None:
            return None
        try:
            async with asyncio.timeout(EMBED_SECONDS):
                return await self._embedder.embed_layers(text)
        except (EmbedError, TimeoutError) as error:
            log.warning("the guard goes by words alone: %s", error)
            return None

    def _classified(
        self, text: str, verdict: GuardVerdict, scores: Mapping[Label, tuple[float, bool]]
    ) -> GuardVerdict:
        """Return the verdict of the rules, made stricter where the classifier is sure."""
        rounded = {label: round(probability, 3) for label, (probability, _) in scores.items()}
        lines: tuple[tuple[Label, Category, str], ...] = (
            ("distress", "harm", "self_harm"),
            ("injection", "injection", "injection"),
            ("harm", "harm", "harm"),
        )
        signs = verdict.signs
        for label, category, message in lines:
            if label not in scores or not scores[label][1] or self._policy[category] == "off":
                continue
            name = f"{category}:{'distress' if label == 'distress' else 'classifier'}"
            signs = (*signs, name)
            if self._policy[category] == "block":
                return GuardVerdict("refuse", name, self._message(message, text), signs, rounded)
        action = "flag" if signs else "allow"
        return GuardVerdict(action, signs[0] if signs else None, "", signs, rounded)


def _short(text: str) -> bool:
    """Tell whether a sentence beside others is too short for its vector to say more than its words."""
    return len(_SAID.findall(text)) < TELLING


def _foreign(text: str) -> bool:
    """Tell whether a text is in a language whose sentence vectors say nothing."""
    code = language(text)
    if code is not None:
        return code not in LANGUAGES
    words = [word.casefold() for word in _LETTERS.findall(text)]
    return bool(words) and sum(map(doubtful, words)) >= DOUBTFUL * len(words)


def _unread(text: str) -> bool:
    """Tell whether a text is in letters that the classifier cannot read, not English disguised by them."""
    return not text.isascii() and language(text) in UNREAD and not _DISGUISED.search(text)


def _odds(probability: float) -> float:
    """Return the log odds of a probability; those of a certainty are cut off."""
    held = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(held / (1 - held))


def _by_line(score: tuple[float, bool]) -> tuple[bool, float]:
    return score[1], score[0]
