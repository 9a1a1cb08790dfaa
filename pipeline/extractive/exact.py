"""Holds a question's codes and numbered names against a text: E-104 is not E-1041, Isle 9 not Isle 4."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from pipeline.text import FIRST_WORD, STOP_WORDS, VOCABULARY, tokens

_CODE = re.compile(
    r"(?<![\w.])(?=[\w:/_.-]*\d)(?=[\w:/_.-]*[A-Za-z])[A-Za-z0-9]+(?:[-:/_.][A-Za-z0-9]+)*(?![\w])"
    r"|(?<![\w/:.])[A-Z]{2,}(?:[-:/_][A-Za-z0-9]+)+"
)
_NUMBERED = re.compile(r"\b([^\W\d_]{2,})\s+#?(\d{1,4})\b(?![.,:]\d|\s*%)")
_QUANTITY = re.compile(
    r"v\d+$|\d+[a-z]{3,}$|\d+(?:st|nd|rd|th|s|x|mm|cm|km|kg|mb|gb|kb|tb|ms|hz|khz|mhz|ghz|am|pm|h|min|d|p|k|m|g|v|w|l)?$"
)
_COUNTING = """version step day days page chapter level year hour hours minutes week weeks month months
    years people percent option figure example part point"""
_COUNTERS = frozenset(_COUNTING.split())
_JOIN = re.compile(r"[-_ ]")
NEAR = 2  # letters a mistyped word may differ by; one when it has fewer than LONG
LONG = 6
SHORTEST = 4


@lru_cache(maxsize=4096)
def codes(text: str) -> frozenset[str]:
    """Return the codes, model numbers and versions of a text, in one spelling without hyphens."""
    spelt = (_JOIN.sub("", match.group().strip(".:/-").casefold()) for match in _CODE.finditer(text))
    return frozenset(code for code in spelt if not _QUANTITY.match(code))


@lru_cache(maxsize=4096)
def numbered(text: str) -> frozenset[tuple[str, str]]:
    """Return the names with a number of a text: ("isle", "9")."""
    pairs = ((word.casefold(), number) for word, number in _NUMBERED.findall(text))
    return frozenset((word, number) for word, number in pairs if word not in STOP_WORDS | _COUNTERS)


def lacking(question: str, texts: Iterable[str]) -> bool:
    """Tell whether a code asked for is in no text, or a numbered name is there with other numbers only."""
    known = list(texts)
    asked = codes(question)
    if asked and not asked & frozenset[str]().union(*(codes(text) for text in known)):
        return True
    pairs = frozenset[tuple[str, str]]().union(*(numbered(text) for text in known))
    names = {name for name, _ in pairs}
    return any(name in names and (name, number) not in pairs for name, number in numbered(question))


def about_another(question: str, text: str) -> bool:
    """Tell whether a sentence speaks of another code or number than the one asked for."""
    asked, here = codes(question), codes(text)
    if asked and here and not asked & here:
        return True
    wanted, there = numbered(question), numbered(text)
    shared = {name for name, _ in wanted} & {name for name, _ in there}
    return bool(shared) and not wanted & there


def mended(words: Sequence[str], texts: Iterable[str]) -> dict[str, str]:
    """Return, for each mistyped word, the word of the texts that it most likely means.

    A word counts as mistyped when it stands neither in the texts nor among the common English words.
    """
    known = frozenset(token for text in texts for token in tokens(text) if token.isalpha())
    fixes: dict[str, str] = {}
    for word in words:
        if len(word) < SHORTEST or not word.isalpha() or word in known or word in _english():
            continue
        most = NEAR if len(word) >= LONG else 1
        near = [
            (_distance(word, other, most), other) for other in known if abs(len(other) - len(word)) <= most
        ]
        close = sorted(pair for pair in near if pair[0] <= most and len(pair[1]) >= SHORTEST)
        if close:
            fixes[word] = close[0][1]
    return fixes


@lru_cache(maxsize=1)
def _english() -> frozenset[str]:
    words = VOCABULARY.read_text(encoding="utf-8").splitlines()[FIRST_WORD:]
    return frozenset(word for word in words if not word.startswith("##"))


def _distance(one: str, other: str, most: int) -> int:
    """Return how many letters differ, swapped neighbours counting once; most + 1 when more than `most`."""
    if one[0] != other[0]:
        return most + 1
    before, row = [0] * (len(other) + 1), list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, match in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != match))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == match:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]
