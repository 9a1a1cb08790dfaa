"""Mends mistyped words by the documents' own vocabulary, up to two letters."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from pipeline.text.sentences import FIRST_WORD, STOP_WORDS, VOCABULARY, tokens

NEAR = 2  # letters a mistyped word may differ by; one when it has fewer than LONG
LONG = 6
SHORTEST = 4
MENDED = 64
SLIPS = 2  # mistyped words from which on a text is written in haste
PARTICLES = frozenset("back up down out in off on over".split())  # noqa: SIM905
APART = 4  # words from a verb to its particle
_WORD = re.compile(r"[^\W\d_]+")
_HYPHEN = re.compile("[-‐]")


def vocabulary(texts: Iterable[str]) -> frozenset[str]:
    """Return the words of the texts that consist of letters."""
    return frozenset(token for text in texts for token in tokens(text) if token.isalpha())


def respelt(text: str, lexicon: frozenset[str]) -> str:
    """Return the text with its mistyped words written as the known words they most likely mean."""
    return put(text, mended(tokens(text), lexicon))


def put(text: str, fixes: Mapping[str, str]) -> str:
    """Return the text with the known words in the places of the mistyped ones."""
    if not fixes:
        return text
    return _WORD.sub(lambda match: fixes.get(match.group().casefold(), match.group()), text)


def joined(text: str, lexicon: frozenset[str]) -> str:
    """Return the text with a verb and its particle written as one where the documents write them so.

    "roll a prompt back" is "rollback a prompt" where they have "rollback"; common words such as "setup"
    are left, since their parts are as common.
    """
    for compound, verb, particle in _compounds(text):
        if compound in lexicon and doubtful(compound):
            (begin, end), (cut, rest) = verb.span(), particle.span()
            return f"{text[:begin]}{compound}{text[end:cut].rstrip()}{text[rest:]}"
    return text


def joinable(text: str, texts: Iterable[str]) -> bool:
    """Tell whether the texts have the letters of a verb and its particle in a row.

    It costs a fiftieth of their vocabulary, which `joined` needs to be sure.
    """
    compounds = {compound for compound, _, _ in _compounds(text)}
    if not compounds:
        return False
    run = _HYPHEN.sub("", unicodedata.normalize("NFKC", "\n".join(texts)).casefold())
    return any(compound in run for compound in compounds)


def _compounds(text: str) -> Iterator[tuple[str, re.Match[str], re.Match[str]]]:
    """Yield each word with a particle behind it, set together, and both matches."""
    matches = list(_WORD.finditer(text))
    terms = [match.group().casefold() for match in matches]
    for later, particle in enumerate(terms):
        for place in range(max(later - APART, 0), later) if particle in PARTICLES else ():
            yield terms[place] + particle, matches[place], matches[later]


def doubtful(word: str) -> bool:
    """Tell whether a word is none of the common English ones and long enough to be mended."""
    return len(word) >= SHORTEST and word.isalpha() and word not in _english()


@lru_cache(maxsize=4096)
def little(word: str) -> str | None:
    """Return the little word that a mistyped one is with two of its letters swapped: "the" for "teh"."""
    if word in _english() or not word.isalpha():
        return None
    swaps = (f"{word[:i]}{word[i + 1]}{word[i]}{word[i + 2 :]}" for i in range(len(word) - 1))
    return next((swap for swap in swaps if swap in STOP_WORDS), None)


def mended(words: Sequence[str], lexicon: frozenset[str]) -> dict[str, str]:
    """Return, for each mistyped word, the known word that it most likely means.

    A word counts as mistyped when it is neither known nor among the common English words. Of a pasted
    text only the first MENDED are looked up: a question has few.
    """
    fixes: dict[str, str] = {}
    strange = [word for word in dict.fromkeys(words) if word not in lexicon and doubtful(word)]
    shelves = _shelved(lexicon) if strange else {}
    for word in strange[:MENDED]:
        most = NEAR if len(word) >= LONG else 1
        lengths = range(max(len(word) - most, SHORTEST), len(word) + most + 1)
        near = [other for length in lengths for other in shelves.get((word[0], length), ())]
        close = sorted(
            (distance, other) for other in near if (distance := _distance(word, other, most)) <= most
        )
        if close:
            fixes[word] = close[0][1]
    return fixes


def slips(text: str) -> str:
    """Return the text with slips of the fingers undone by the common English words; as it is when it has few.

    A slip swaps two letters, leaves one out or has one too many; another letter may be another word.
    """
    words = tokens(text)[:MENDED]
    fixes = {word: fix for word, fix in mended(words, _english()).items() if _slipped(word, fix)}
    if len(fixes) < SLIPS:
        return text
    return put(text, fixes)


def _slipped(word: str, meant: str) -> bool:
    more, fewer = Counter(word) - Counter(meant), Counter(meant) - Counter(word)
    return more.total() + fewer.total() <= 1


@lru_cache(maxsize=16)  # knowledge bases in use
def _shelved(lexicon: frozenset[str]) -> dict[tuple[str, int], list[str]]:
    """Return the words by first letter and length: a mistyped word has its first letter right."""
    shelves: dict[tuple[str, int], list[str]] = {}
    for word in lexicon:
        shelves.setdefault((word[0], len(word)), []).append(word)
    return shelves


@lru_cache(maxsize=1)
def _english() -> frozenset[str]:
    words = VOCABULARY.read_text(encoding="utf-8").splitlines()[FIRST_WORD:]
    return frozenset(word for word in words if not word.startswith("##"))


def _distance(word: str, other: str, most: int) -> int:
    """Return how many letters differ, swapped neighbours counting once; most + 1 when more than `most`."""
    before, row = [0] * (len(other) + 1), list(range(len(other) + 1))
    for i, letter in enumerate(word, 1):
        older, before, row = before, row, [i]
        for j, match in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != match))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == match:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]
