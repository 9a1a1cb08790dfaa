"""Opens passages into lines whose words are compared with those of a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from pipeline.text.sentences import STOP_WORDS, sentences, stem, tokens

STOP_WORD = 0.5  # weight of a stop word beside a content word
AKIN = 0.5  # what a word counts whose beginning is there: "installer" for "installation"
AKIN_LETTERS = 5
_LEANING = frozenset("it they both its their them this these those that he she there".split())  # noqa: SIM905
REMEMBERED = 1_024  # passages whose words are kept, about 14 KB each, and lines apart, about 3 KB

Word = tuple[str, str]  # its stem and itself


class TitledPassage(Protocol):
    """What of a passage is compared: its title and its text."""

    @property
    def title(self) -> str: ...

    @property
    def text(self) -> str | None: ...


class Numbered(TitledPassage, Protocol):
    """A passage with its number in the answer."""

    @property
    def n(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class LineStems:
    """Stems, and the beginnings of the long ones."""

    stems: frozenset[str]
    beginnings: frozenset[str]

    def akin(self, word: str) -> bool:
        """Tell whether a stem or a word with its beginning is there."""
        return word in self.stems or (len(word) > AKIN_LETTERS and word[:AKIN_LETTERS] in self.beginnings)


@dataclass(frozen=True, slots=True)
class PassageSentence:
    """A sentence of a passage as it is compared; its title is the line 0..0.

    `reach` are its words and those it leans on: the head of a table's row, what "it" or "they" names.
    """

    start: int
    end: int
    text: str
    words: LineStems
    reach: LineStems


@dataclass(frozen=True, slots=True)
class Claim:
    """The stems of a sentence: content words, and stop words, which weigh less."""

    content: frozenset[str]
    stops: frozenset[str]
    beginnings: frozenset[str]  # of the content words that may have kin

    def share(self, there: LineStems) -> float:
        """Return the weighted share of the words that stand there, kin counting less."""
        total = len(self.content) + STOP_WORD * len(self.stops)
        if not total:
            return 0.0
        common = len(self.content & there.stems) + STOP_WORD * len(self.stops & there.stems)
        if not self.beginnings.isdisjoint(there.beginnings):
            common += AKIN * sum(map(there.akin, self.content - there.stems))
        return common / total


@lru_cache(maxsize=REMEMBERED)
def stemmed(text: str) -> tuple[Word, ...]:
    """Return the words of a text, each with its stem."""
    return tuple((stem(token), token) for token in tokens(text))


@lru_cache(maxsize=256)  # a sentence is compared in ten ways, one after the other
def stated(sentence: str) -> Claim:
    """Return the stems of a sentence."""
    words = stemmed(sentence)
    stops = frozenset(word for word, token in words if token in STOP_WORDS)
    content = frozenset(word for word, token in words if token not in STOP_WORDS)
    beginnings = frozenset(word[:AKIN_LETTERS] for word in content if len(word) > AKIN_LETTERS)
    return Claim(content, stops - content, beginnings)


def together(parts: Iterable[LineStems]) -> LineStems:
    """Return the words of several lines as those of one."""
    parts = tuple(parts)
    stems = frozenset[str]().union(*(part.stems for part in parts))
    return LineStems(stems, frozenset[str]().union(*(part.beginnings for part in parts)))


@lru_cache(maxsize=REMEMBERED)
def opened(title: str, text: str) -> tuple[PassageSentence, ...]:
    """Return the title of a passage and its sentences; the same passages come often."""
    whole = [(0, 0, title)] + [(start, end, text[start:end]) for start, end in sentences(text)]
    lines: list[PassageSentence] = []
    head: PassageSentence | None = None  # the first row of a table
    for start, end, part in whole:
        if not part:
            continue
        read = tokens(part)
        words, leaning = _words(read), not _LEANING.isdisjoint(read)
        before = [lines[-1].reach] if lines and leaning else []
        if "|" in part and start < end:
            before += [head.words] if head else []
        lines.append(
            PassageSentence(start, end, part, words, together([words, *before]) if before else words)
        )
        head = head or (lines[-1] if "|" in part and start < end else None)
    return tuple(lines)


@lru_cache(maxsize=REMEMBERED)
def everything(title: str, text: str) -> LineStems:
    """Return the words of a passage in all."""
    return together(line.words for line in opened(title, text))


def _words(texts: Iterable[str]) -> LineStems:
    stems = frozenset(map(stem, texts))
    return LineStems(stems, frozenset(word[:AKIN_LETTERS] for word in stems if len(word) >= AKIN_LETTERS))
