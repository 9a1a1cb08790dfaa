"""Holds each sentence of an answer against the passages it cites, and names what contradicts it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, Protocol

from pipeline.languages import language
from pipeline.polarity import contradicted, digits, numbers, opposites
from pipeline.text import STOP_WORDS, list_marker, sentences, stem, tokens

Support = Literal["supported", "partly", "unsupported", "uncited", "unchecked"]

SUPPORTED = 0.72  # share of a sentence's words that its passages must have; see the room's README
PARTLY = 0.5
STOP_WORD = 0.5  # weight of a stop word beside a content word
TOGETHER = 0.4  # weight of words found anywhere in the cited passages, beside words found together
AKIN = 0.5  # what a word counts whose beginning is there: "installer" for "installation"
AKIN_LETTERS = 5
CONTRADICTED = 0.4  # what is left of a sentence that a passage contradicts
NAMED = 0.6  # what is left of a sentence with a name or code that stands in no cited passage
ALIKE = 0.7  # share of words two sentences must share before one can contradict the other

_CITATION = re.compile(r"\[(\d{1,3})\]")
_CITED_ALONE = re.compile(r"\W*(?:\[\d{1,3}\]\W*)+")
_NAME = re.compile(r"(?<=[\w,;] )[A-Z][\w’'-]*[\w]|\b\w*\d[\w-]*[A-Za-z]\w*\b|\b[A-Za-z]+-?\d[\w-]*\b")
REMEMBERED = 1_024  # passages whose words are kept, about 14 KB each
_COURTESY = re.compile(
    r"\W*(?:you(?:'|’)re welcome|you are welcome|hello|hi|hey|thanks?|thank you|sorry|i(?:'|’)m sorry"
    r"|i apologi[sz]e"
    r"|sure|of course|certainly|glad|happy to help|let me know|feel free|i hope|hope (?:this|that)|good luck"
    r"|here(?:'|’)?s? (?:is|are)?|is there anything)\b",
    re.IGNORECASE,
)
_UNKNOWING = re.compile(
    r"\b(?:(?:do|does|did|could|can|am|is|are) ?(?:not|n['’]t)|cannot|can['’]t|no|not|unable to"
    r"|without)\b[^.]{0,60}"
    r"\b(?:information|details|know|knowledge|find|mention\w*|documents?|passages?|context|specif\w+|provided"
    r"|available|sources?)\b",
    re.IGNORECASE,
)


class Titled(Protocol):
    """What of a passage is compared: its title and its text."""

    @property
    def title(self) -> str: ...

    @property
    def text(self) -> str | None: ...


class Numbered(Titled, Protocol):
    """A passage with its number in the answer."""

    @property
    def n(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """The passage sentence to highlight: passage number and character offsets in its text."""

    n: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SentenceCheck:
    """What the passages say to one sentence of an answer.

    `score` is 0..1; None when nothing was compared. `numbers` are the passages it cites. `evidence`
    is None when no passage sentence says it. `reasons` are sentences for people, worst first.
    """

    text: str
    support: Support
    score: float | None
    numbers: tuple[int, ...] = ()
    evidence: Evidence | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence of a passage as it is compared; its title is the line 0..0."""

    start: int
    end: int
    text: str
    words: _Words


@dataclass(frozen=True, slots=True)
class _Words:
    """Stems, and the beginnings of the long ones."""

    stems: frozenset[str]
    beginnings: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The stems of a sentence: content words, and stop words, which weigh less."""

    content: frozenset[str]
    stops: frozenset[str]

    def share(self, there: _Words) -> float:
        """Return the weighted share of the words that stand there, kin counting less."""
        total = len(self.content) + STOP_WORD * len(self.stops)
        if not total:
            return 0.0
        common = len(self.content & there.stems) + STOP_WORD * len(self.stops & there.stems)
        for word in self.content - there.stems:
            if len(word) > AKIN_LETTERS and word[:AKIN_LETTERS] in there.beginnings:
                common += AKIN
        return common / total


def check(sentence: str, passages: Sequence[Numbered]) -> SentenceCheck:
    """Return how far the passages a sentence cites support it.

    - "supported": words, numbers, names and direction stand in a cited passage;
    - "partly": some of it does; `reasons` say what does not;
    - "unsupported": the cited passages do not say it, or say the contrary;
    - "uncited": it states something and cites nothing; `score` and `evidence` are those of all passages;
    - "unchecked": it states nothing (a heading, a lead, a courtesy, "I could not find this"), or
      is written in another language than its passages, so that words cannot tell.

    Pure and fast (about 0.2 ms for five passages); the passages' side is remembered. Of the numbers
    cited, those that no passage carries count as a wrong citation.
    """
    cited = tuple(dict.fromkeys(map(int, _CITATION.findall(sentence))))
    plain = _plain(sentence)
    words = tokens(plain)
    if _silent(plain, words, cited):
        return SentenceCheck(sentence, "unchecked", None, cited)
    chosen = [p for p in passages if p.n in cited] if cited else list(passages)
    lines = [line for passage in chosen for line in opened(passage.title, passage.text or "")]
    owners = [passage.n or 0 for passage in chosen for _ in opened(passage.title, passage.text or "")]
    if cited and not lines:
        return SentenceCheck(
            sentence, "unsupported", 0.0, cited, None, ("It cites a passage that is not there.",)
        )
    if _foreign(plain, chosen):
        reason = "It is in another language than its passages."
        return SentenceCheck(sentence, "unchecked", None, cited, None, (reason,))
    comparison = _compare(plain, words, lines, owners)
    return replace(
        comparison, text=sentence, numbers=cited, support=comparison.support if cited else "uncited"
    )


def checks(
    answer: str, passages: Sequence[Numbered], checks_before: Mapping[str, SentenceCheck] | None = None
) -> tuple[SentenceCheck, ...]:
    """Check an answer sentence by sentence; those in `known` are not checked again.

    A citation that stands alone after a full stop belongs to the sentence before it; one at the
    end of a paragraph's line covers the uncited sentences before it in the same line when it
    supports them.
    """
    pieces = _sentences(answer)
    checks_before = checks_before or {}
    results = [checks_before.get(text) or check(text, passages) for text, _ in pieces]
    cited: tuple[int, ...] = ()  # by the next sentence of the same line that cites
    for place in range(len(results) - 1, -1, -1):
        verdict = results[place]
        if verdict.support == "uncited" and cited:
            covered = check(f"{verdict.text} " + " ".join(f"[{n}]" for n in cited), passages)
            if covered.support == "supported":
                results[place] = replace(covered, text=verdict.text)
        cited = (verdict.numbers or cited) if pieces[place][1] else ()
    return tuple(results)


def contradicts(sentence: str, passages: Sequence[Titled]) -> bool:
    """Tell whether the passages say otherwise what the sentence says: a number, a direction, a negation."""
    plain = _plain(sentence)
    if any(plain in (passage.text or "") for passage in passages):
        return False
    lines = [line for passage in passages for line in opened(passage.title, passage.text or "")]
    claim = _asked(tokens(plain))
    shares = [claim.share(line.words) for line in lines]
    return bool(_contradictions(plain, lines, shares))


def _sentences(answer: str) -> list[tuple[str, bool]]:
    """Return the sentences, each with whether it goes on in the line of the one before it."""
    pieces: list[tuple[str, bool]] = []
    end = 0
    for start, stop in sentences(answer):
        text, joined = answer[start:stop], bool(pieces) and "\n" not in answer[end:start]
        if joined and _CITED_ALONE.fullmatch(text):
            pieces[-1] = (f"{pieces[-1][0]} {text}", pieces[-1][1])
        else:
            pieces.append((text, joined))
        end = stop
    return pieces


def _plain(sentence: str) -> str:
    """Return the sentence without its citations, list marker and Markdown signs."""
    text = _CITATION.sub(" ", sentence).strip()
    marker = list_marker(text)
    return (text[len(marker) :] if marker else text).replace("**", "").replace("`", "").strip("#> \t")


def _silent(plain: str, words: Sequence[str], cited: Sequence[int]) -> bool:
    """Tell whether a sentence states nothing that a passage could support."""
    content = [word for word in words if word not in STOP_WORDS]
    if not content:
        return True
    if cited:
        return False
    if plain.rstrip().endswith((":", "?")) or (len(words) <= 12 and plain[-1] not in ".!?…。！？"):
        return True  # a lead, a question, a heading
    return bool(_COURTESY.match(plain) and len(content) <= 8) or bool(_UNKNOWING.search(plain))


def _foreign(plain: str, passages: Iterable[Numbered]) -> bool:
    own = language(plain)
    if own is None:
        return False
    theirs = {_written_in((passage.text or "")[:600]) for passage in passages} - {None}
    return bool(theirs) and own not in theirs


@lru_cache(maxsize=REMEMBERED)
def _written_in(text: str) -> str | None:
    return language(text)


def _compare(plain: str, words: Sequence[str], lines: Sequence[Line], owners: Sequence[int]) -> SentenceCheck:
    claim = _asked(words)
    everywhere = _together([line.words for line in lines])
    shares = [claim.share(line.words) for line in lines]
    best = max(range(len(lines)), key=shares.__getitem__, default=None)
    pairs = [
        claim.share(_together([lines[place].words, lines[place + 1].words]))
        for place in range(len(lines) - 1)
        if owners[place] == owners[place + 1] and shares[place] + shares[place + 1] > max(shares)
    ]
    together = max([*shares, *pairs], default=0.0)
    score = TOGETHER * claim.share(everywhere) + (1 - TOGETHER) * together
    wrong, missing = _contradictions(plain, lines, shares), _unnamed(plain, everywhere.stems)
    score *= CONTRADICTED if wrong else NAMED if missing else 1.0
    support: Support = "supported" if score >= SUPPORTED else "partly" if score >= PARTLY else "unsupported"
    reasons = [*wrong, *missing]
    if support != "supported" and not reasons:
        reasons = ["Only a part of it stands there." if support == "partly" else "It does not stand there."]
    evidence = None
    if best is not None and support != "unsupported" and lines[best].end > lines[best].start:
        evidence = Evidence(owners[best], lines[best].start, lines[best].end)
    return SentenceCheck(plain, support, min(score, 1.0), (), evidence, tuple(reasons))


def _together(parts: Sequence[_Words]) -> _Words:
    stems = frozenset[str]().union(*(part.stems for part in parts))
    return _Words(stems, frozenset[str]().union(*(part.beginnings for part in parts)))


def _words(stems: Iterable[str]) -> _Words:
    all_stems = frozenset(stems)
    starts = frozenset(word[:AKIN_LETTERS] for word in all_stems if len(word) >= AKIN_LETTERS)
    return _Words(all_stems, starts)


def _asked(words: Sequence[str]) -> _Asked:
    stops = frozenset(stem(word) for word in words if word in STOP_WORDS)
    content = frozenset(stem(word) for word in words if word not in STOP_WORDS)
    return _Asked(content, stops - content)


def _contradictions(plain: str, lines: Sequence[Line], shares: Sequence[float]) -> list[str]:
    """Return what the passages say otherwise: numbers, opposites, negations."""
    most = max(shares, default=0.0)
    near = [line for line, share in zip(lines, shares, strict=True) if share >= 0.75 * most]
    reasons = [_odd_number(value, unit) for value, unit in _odd(plain, lines, near)]
    if most < ALIKE:
        return reasons
    against = [_against(plain, line.text) for line in near]
    return reasons + (against[0] if all(against) else [])


def _odd(plain: str, lines: Sequence[Line], near: Sequence[Line]) -> list[tuple[str, str]]:
    """Return the sentence's numbers that no line near to it has, with that unit where one is given."""
    claimed = numbers(plain)
    if not claimed:
        return []
    there = {pair for line in near for pair in numbers(line.text)}
    values = {n for n, _ in there}.union(*(digits(line.text) for line in near))
    anywhere = frozenset[str]().union(*(digits(line.text) for line in lines))
    odd: list[tuple[str, str]] = []
    for value, unit in claimed:
        units = {u for n, u in there if n == value}
        absent = value not in values and (value not in anywhere or bool(unit))
        if absent or (unit and units and not units & {unit, ""}):
            odd.append((value, unit))
    return odd


def _odd_number(value: str, unit: str) -> str:
    return f"The number {value}{' ' + unit if unit else ''} does not stand there."


def _against(plain: str, other: str) -> list[str]:
    reasons = [
        f"It says {mine!r} where the passage says {theirs!r}." for mine, theirs in opposites(plain, other)
    ]
    if contradicted(plain, other):
        reasons.append("One of the two denies what the other says.")
    return reasons


def _unnamed(plain: str, everywhere: frozenset[str]) -> list[str]:
    """Return the names and codes of the sentence that stand in no cited passage."""
    missing = [
        name
        for name in dict.fromkeys(_NAME.findall(plain))
        if any(stem(token) not in everywhere for token in tokens(name) if token not in STOP_WORDS)
    ]
    return [f"{name!r} does not stand there." for name in missing]


@lru_cache(maxsize=REMEMBERED)
def opened(title: str, text: str) -> tuple[Line, ...]:
    """Return the title of a passage and its sentences; the same passages come often."""
    whole = [(0, 0, title)] + [(start, end, text[start:end]) for start, end in sentences(text)]
    return tuple(
        Line(start, end, part, _words(stem(word) for word in tokens(part)))
        for start, end, part in whole
        if part
    )
