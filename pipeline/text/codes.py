"""Codes, model numbers and versions in a text, told apart however a person punctuates them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice, pairwise

from pipeline.text.sentences import STOP_WORDS

PARTS = 300  # words and numbers of a question that are looked at; a pasted log has thousands
LONGEST = 4  # words that one code may have been typed as
Forms = dict[str, tuple[str, ...]]  # a code without any punctuation, to its spellings in the texts

_CODE = re.compile(
    r"(?<![\w.])(?=[\w:/_.-]*\d)(?=[\w:/_.-]*[A-Za-z])[A-Za-z0-9]+(?:[-:/_.][A-Za-z0-9]+)*(?![\w])"
    r"|(?<![\w/:.])[A-Z]{2,}(?:[-:/_][A-Za-z0-9]+)+"
    r"|(?<![\w.,])(?!\d{1,2}\.\d{1,2}\.(?:19|20)\d\d\b)\d+(?:\.\d+){2,}(?![\w,])"
    r"|(?i:(?<=\bversion )|(?<=\brelease ))\d+(?:\.\d+)+(?![\w,])"
    r"|(?i:(?<=\bhttp )|(?<=\bstatus )|(?<=\berror )|(?<=\bcode ))\d{3,5}(?!\w|[,.]\d)"
)
_QUANTITY = re.compile(
    r"v\d+$|\d+[a-z]{3,}$|\d+(?:st|nd|rd|th|s|x|mm|cm|km|kg|mb|gb|kb|tb|ms|hz|khz|mhz|ghz|am|pm|h|min|d|p|k|m|g|v|w|l)?$"
)
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[-:/_ ](?=\d)")
_MARKS = re.compile(r"(?<!\d)[-:/_. ]+|[-:/_. ]+(?!\d)")
_ANY_MARK = re.compile(r"[-:/_. ]")
_LIKELY = re.compile(r"\d|[A-Z]{2}[-:/_]")
_BEFORE = frozenset({"version", "release", "http", "status", "error", "code"})
_PART = re.compile(r"[A-Za-z0-9]+")


def plain(code: str) -> str:
    """Return a code in small letters; only what parts two numbers stays: KX-7/B is kx7b, E-10/4 is e10-4."""
    return _MARKS.sub("", _BETWEEN_DIGITS.sub("-", code.strip(".:/-").casefold()))


@lru_cache(maxsize=4096)
def codes(text: str) -> frozenset[str]:
    """Return the codes, model numbers and versions of a text in their plain spelling."""
    return frozenset(plain(code) for code in _spelt(text))


def forms(texts: Iterable[str]) -> Forms:
    """Return how the texts spell their codes, by the code without any punctuation."""
    spellings: dict[str, dict[str, None]] = {}
    for text in texts:
        for code in _spelt(text):
            spellings.setdefault(_bare(code), {})[code] = None
    return {bare: tuple(codes) for bare, codes in spellings.items()}


def written(question: str, spellings: Forms) -> str:
    """Return the question with its codes as the texts write them: "kx7b" and "KX 7 B" as "KX-7/B".

    A code that the texts write in two ways that are not the same code stays as it is.
    """
    parts = list(islice(_PART.finditer(question), PARTS))
    pieces: list[str] = []
    end = place = 0
    while place < len(parts):
        count, form = _typed(question, parts[place : place + LONGEST], spellings)
        if form:
            start = parts[place].start()
            pieces += [question[end:start], form]
            end = parts[place + count - 1].end()
        place += count
    return "".join(pieces) + question[end:] if pieces else question


def parted(question: str) -> str:
    """Return the question with the letters and numbers of its codes also as words of their own."""
    parts = [part for code in _spelt(question) for part in re.findall(r"[A-Za-z]+|\d+", code)]
    return f"{question} {' '.join(dict.fromkeys(parts))}" if parts else question


def _typed(question: str, parts: list[re.Match[str]], known_forms: Forms) -> tuple[int, str | None]:
    """Return how many of the parts are one code, and its spelling; (1, None) when they begin none."""
    for count in range(len(parts), 0, -1):
        run = parts[:count]
        text = question[run[0].start() : run[-1].end()]
        spellings = known_forms.get(_bare(text))
        if spellings is None or not _together(question, run):
            continue
        if any(text.casefold() == spelling.casefold() for spelling in spellings):
            return count, None
        same = [spelling for spelling in spellings if plain(spelling) == plain(text)]
        kinds = {plain(spelling) for spelling in spellings}
        alone = len(kinds) == 1 and "-" not in plain(text) and "." not in kinds.pop()  # v12 is not v1.2
        return count, same[0] if same else spellings[0] if alone else None
    return 1, None


def _together(question: str, run: list[re.Match[str]]) -> bool:
    """Say whether parts may be one code: a single mark or blank between them, no small word in the run."""
    gaps = [question[left.end() : right.start()] for left, right in pairwise(run)]
    if not all(_ANY_MARK.fullmatch(gap) for gap in gaps):
        return False
    return " " not in gaps or not any(part.group() in STOP_WORDS for part in run)


def _spelt(text: str) -> list[str]:
    """Return the codes of a text as it spells them; quantities are none."""
    spelt = (match.group().strip(".:/-") for match in _CODE.finditer(_likely(text)))
    return [code for code in spelt if code.isdigit() or not _QUANTITY.match(plain(code))]


def _likely(text: str) -> str:
    """Return the words of a text that may be codes; the pattern alone takes ten times as long."""
    words = text.split()
    return "\n".join(
        f"{before} {word}" if before in _BEFORE else word
        for before, word in zip(["", *map(str.casefold, words)], words, strict=False)
        if not word.isalpha() and _LIKELY.search(word)
    )


def _bare(code: str) -> str:
    return _ANY_MARK.sub("", code.casefold())
