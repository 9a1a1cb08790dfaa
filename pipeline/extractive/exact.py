"""Holds a question's codes and numbered names against a text: E-104 is not E-1041, Isle 9 not Isle 4."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from string import ascii_lowercase

from pipeline.text.codes import codes
from pipeline.text.sentences import STOP_WORDS, words

_NUMBERED = re.compile(r"\b([^\W\d_]{2,}):?\s+(?:#?(\d{1,4})\b(?![.,:]\d|\s*%)|([A-HJ-Z])(?![\w'’.&+-]))")
_COUNTING = """version step day days page chapter level year hour hours minutes week weeks month months
    years people percent option figure example part point"""
_COUNTERS = frozenset(_COUNTING.split())
_NAMED = re.compile(r"\b([A-Z][a-z]{2,}) ([a-z]{3,})\b")
_CALLED = re.compile(r"\b([a-z]{3,}) ([A-Z][a-z]{2,})\b")
_BOUND = re.compile(r"\b([a-z]{3,} (?:to|from|of|at|for)) (?:the )?([A-Z][a-z]{2,})\b")
_HEAD = re.compile(r"^([^:;\n]{3,40}): [^:;\n]+;", re.MULTILINE)  # of a row, as rows.statements writes it
_CELL = re.compile(r"(?:^|; )([^:;\n]{2,40}): ([^;\n]+)", re.MULTILINE)
_WITHIN = re.compile(r"(?:(?<=[a-z] )|(?<=\b[DMS][rst]\. )|(?<=\bMrs\. )|(?<=\bProf\. ))([A-Z][a-z]{3,})\b")
_ALONE = re.compile(r"(?<![\w.,:/-])\d{1,2}(?![\w/-]|[.,:]\d)")
_LONG = re.compile(r"(?<!\d)(?<![\d][.,])\d{4}(?!\d|[.,]\d)")
_APART = re.compile(r"(?<![\w-])([A-Za-z]{1,4})[-:/_. ](\d+)(?:[-:/_. ]([A-Za-z\d]))?(?![\w-])")
_MARK = re.compile(r"[-:/_. ]")
ENUMERATED = 3  # different numbers in a sentence that make it a list of them
_TITLES = frozenset({"dr", "mr", "mrs", "ms", "st", "prof"})
SHORT = 3  # letters of a name that may as well begin a sentence


def misnamed(question: str, texts: Iterable[str]) -> bool:
    """Tell whether a thing asked for by its name is in no text, and others of its kind are, by theirs.

    "The Falcon bike" is not there when "the Kestrel bike" is and no Falcon, nor "the ferry to Berg" when
    there is one to Sund; nor is "the North lift" or "room Ash" when a table's rows begin with "Lift: South"
    or "Room: Elm", nor the Baritone when singers are asked for and no row of theirs is named.
    """
    pairs = _NAMED.findall(question[1:])
    back = [(name, kind) for kind, name in _CALLED.findall(question)]
    bound = _BOUND.findall(question)
    inner = _WITHIN.findall(question)
    if not pairs and not back and not bound and not inner:
        return False
    whole = "\n".join(texts)
    folded = whole.casefold()
    if any(name.casefold() not in folded for name in inner) and _rowless(question, whole):
        return True
    frames = {frame for frame, _ in _BOUND.findall(whole)}
    if any(name.casefold() not in folded and frame in frames for frame, name in bound):
        return True
    heads = {head.casefold() for head in _HEAD.findall(whole)}
    others = {kind for _, kind in _NAMED.findall(whole)} - STOP_WORDS
    return any(
        name.casefold() not in folded and (kind in heads or (kind in others and len(name) > SHORT))
        for name, kind in pairs
    ) or any(name.casefold() not in folded and kind in heads for name, kind in back)


def _rowless(question: str, whole: str) -> bool:
    """Tell whether a column of a table is asked for, and none of its rows by its name."""
    stems = set(words(question))
    rows = [_CELL.findall(line) for line in whole.splitlines() if _HEAD.match(line)]
    heads = {stem for row in rows for head, _ in row[1:] for stem in words(head)}
    names = [set(words(row[0][1])) for row in rows]
    common = set[str]().union(*names).intersection(*names) if len(names) > 1 else set[str]()
    return bool(stems & heads) and not any(stems & (name - common - _TITLES) for name in names)


@lru_cache(maxsize=4096)
def numbered(text: str) -> frozenset[tuple[str, str]]:
    """Return the names with a number or a letter of a text: ("isle", "9"), ("plan", "b")."""
    pairs = ((word.casefold(), (no or letter).casefold()) for word, no, letter in _NUMBERED.findall(text))
    return frozenset((word, number) for word, number in pairs if word not in STOP_WORDS | _COUNTERS)


def lacking(question: str, texts: Iterable[str]) -> bool:
    """Tell whether a code asked for is in no text, or a numbered name is there with other numbers only."""
    pages = list(texts)
    question_codes = codes(question)
    there = frozenset[str]().union(*(codes(text) for text in pages))
    if (question_codes and not question_codes & there) or _near(question, there):
        return True
    pairs = frozenset[tuple[str, str]]().union(*(numbered(text) for text in pages))
    names = {name for name, _ in pairs}
    odd = {number for name, number in numbered(question) if name in names and (name, number) not in pairs}
    return bool(odd - frozenset[str]().union(*(_listed(text) for text in pages))) if odd else False


def _near(question: str, there: Iterable[str]) -> bool:
    """Tell whether a code typed with blanks, "KX 7 D", is not there and others of its shape, KX-7/B, are."""
    bare = {_MARK.sub("", code) for code in there}
    shapes = {_shape(code) for code in bare}
    for word, number, end in _APART.findall(question):
        code = f"{word}{number}{end}".casefold()
        if word.casefold() not in STOP_WORDS | _COUNTERS and code not in bare and _shape(code) in shapes:
            return True
    return False


def _shape(code: str) -> str:
    letters = len(code) - len(code.lstrip(ascii_lowercase))
    return code[:letters] + "".join("0" if sign.isdigit() else "a" for sign in code[letters:])


@lru_cache(maxsize=4096)
def _listed(text: str) -> frozenset[str]:
    """Return the numbers that need no name beside them.

    Those of four digits, which mean one thing in a text, and small ones that are told one after the
    other: "with 0 when …, with 1 …, with 2".
    """
    numbers = frozenset(_ALONE.findall(text))
    return (numbers if len(numbers) >= ENUMERATED else frozenset()) | frozenset(_LONG.findall(text))


def comparable(question: str, text: str) -> bool:
    """Tell whether the codes of two texts are of one kind: S3 has a digit, AWS_REGION none."""
    kinds = [{any(map(str.isdigit, code)) for code in codes(each)} for each in (question, text)]
    return not kinds[0] or not kinds[1] or bool(kinds[0] & kinds[1])


def about_another(question: str, text: str) -> bool:
    """Tell whether a sentence speaks of another code or number than the one asked for."""
    question_codes, here = codes(question), codes(text)
    if question_codes and here and not question_codes & here:
        return True
    numbers, there = numbered(question), numbered(text)
    shared = {name for name, _ in numbers} & {name for name, _ in there}
    return bool(shared) and not numbers & there
