"""Holds a question's codes and numbered names against a text: E-104 is not E-1041, Isle 9 not Isle 4."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from pipeline.text import STOP_WORDS

_CODE = re.compile(
    r"(?<![\w.])(?=[\w:/_.-]*\d)(?=[\w:/_.-]*[A-Za-z])[A-Za-z0-9]+(?:[-:/_.][A-Za-z0-9]+)*(?![\w])"
    r"|(?<![\w/:.])[A-Z]{2,}(?:[-:/_][A-Za-z0-9]+)+"
    r"|(?<![\w.,])(?!\d{1,2}\.\d{1,2}\.(?:19|20)\d\d\b)\d+(?:\.\d+){2,}(?![\w,])"
    r"|(?i:(?<=\bversion )|(?<=\brelease ))\d+(?:\.\d+)+(?![\w,])"
)
_NUMBERED = re.compile(r"\b([^\W\d_]{2,})\s+#?(\d{1,4})\b(?![.,:]\d|\s*%)")
_QUANTITY = re.compile(
    r"v\d+$|\d+[a-z]{3,}$|\d+(?:st|nd|rd|th|s|x|mm|cm|km|kg|mb|gb|kb|tb|ms|hz|khz|mhz|ghz|am|pm|h|min|d|p|k|m|g|v|w|l)?$"
)
_COUNTING = """version step day days page chapter level year hour hours minutes week weeks month months
    years people percent option figure example part point"""
_COUNTERS = frozenset(_COUNTING.split())
_NAMED = re.compile(r"\b([A-Z][a-z]{2,}) ([a-z]{3,})\b")
_CALLED = re.compile(r"\b([a-z]{3,}) ([A-Z][a-z]{2,})\b")
_HEAD = re.compile(r"^([^:;\n]{3,40}): [^:;\n]+;", re.MULTILINE)  # of a row, as rows.statements writes it
SHORT = 3  # letters of a name that may as well begin a sentence
_JOIN = re.compile(r"[-_ ]")


@lru_cache(maxsize=4096)
def codes(text: str) -> frozenset[str]:
    """Return the codes, model numbers and versions of a text, in one spelling without hyphens."""
    spelt = (_JOIN.sub("", match.group().strip(".:/-").casefold()) for match in _CODE.finditer(text))
    return frozenset(code for code in spelt if not _QUANTITY.match(code))


def joined(question: str, texts: Iterable[str]) -> str:
    """Return the question with "err 504" written as the code that the texts have it as, "err-504"."""
    spaced = {f"{word}{number}" for word, number in numbered(question)}
    if not spaced or not spaced & frozenset[str]().union(*(codes(text) for text in texts)):
        return question
    return _NUMBERED.sub(
        lambda m: f"{m[1]}-{m[2]}" if f"{m[1]}{m[2]}".casefold() in spaced else m[0], question
    )


def misnamed(question: str, texts: Iterable[str]) -> bool:
    """Tell whether a thing asked for by its name is in no text, and others of its kind are, by theirs.

    "The Falcon bike" is not there when "the Kestrel bike" is and no Falcon; nor is "the North lift" or
    "room Ash" when a table's rows begin with "Lift: South" or "Room: Elm".
    """
    pairs = _NAMED.findall(question[1:])
    back = [(name, kind) for kind, name in _CALLED.findall(question)]
    if not pairs and not back:
        return False
    whole = "\n".join(texts)
    folded = whole.casefold()
    heads = {head.casefold() for head in _HEAD.findall(whole)}
    others = {kind for _, kind in _NAMED.findall(whole)} - STOP_WORDS
    return any(
        name.casefold() not in folded and (kind in heads or (kind in others and len(name) > SHORT))
        for name, kind in pairs
    ) or any(name.casefold() not in folded and kind in heads for name, kind in back)


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
