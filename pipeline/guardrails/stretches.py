"""Compares a sentence with stretches of its passages between commas: whose fact it is, what replaces what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import pairwise
from math import log

from pipeline.guardrails.lines import AKIN_LETTERS, LineStems, PassageSentence, Word
from pipeline.text.polarity import figure, negations
from pipeline.text.sentences import STOP_WORDS, stem, tokens

NEAREST = 5  # lines with most of the sentence's words, whose stretches are compared
LITTLE = 0.3  # weight of a stop word beside a content word
FEW = 3  # words that others may stand for
ENDING = 3  # last content words, where something is mostly added
KEPT_LINES = 4_096  # lines as their stretches
COPIED = 0.5  # share of words in the same order from which a sentence counts as copied
NEAR = 0.75  # share of the best line's words from which another is near, too
_STRETCH = re.compile(r"[,;:.!?](?=\s|$)|[()|\n]|\b(?:and|but|while|whereas|or)\b", re.IGNORECASE)
_CLAUSE = re.compile(
    r"[,;:()]|\b(?:and|but|because|so|which|while|whereas|or|when|if|unless|until|with|as|since|provided|though"
    r"|although|who|that|before|after|once|than)\b",
    re.IGNORECASE,
)
_SORTS = (
    "monday tuesday wednesday thursday friday saturday sunday weekday weekend",
    "january february march april june july august september october november december",
    "second minute hour hourly day daily week weekly month monthly quarter year yearly annual night decade",
    "morning noon afternoon evening midnight night",
    "summer winter spring autumn",
    "euro dollar cent pound franc",
    "red blue green yellow pink white black orange brown grey purple",
    "metre kilometre centimetre millimetre foot inch mile",
    "first second third last next",
    "north south east west",
    "gram kilogram litre",
    "always never sometimes",
    *("before after", "inside outside", "front back", "upper lower", "full half double", "left right"),
)
_ROWS = tuple(frozenset(map(stem, row.split())) for row in _SORTS)
_SORT_OF = {
    word: frozenset(place for place, row in enumerate(_ROWS) if word in row)
    for word in frozenset().union(*_ROWS)
}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Words of a line between two commas, of two neighbours, or of all."""

    words: tuple[Word, ...]
    stems: frozenset[str]
    content: frozenset[str]
    weight: float  # the number of its words, stop words counting less


@dataclass(frozen=True, slots=True)
class Parted:
    """A line as its stretches, and as those stretches that are compared: single, in pairs, all."""

    parts: tuple[Stretch, ...]
    compared: tuple[Stretch, ...]


def measure_stretches(
    plain: str,
    words: Sequence[Word],
    lines: Sequence[PassageSentence],
    shares: Sequence[float],
    everywhere: LineStems,
) -> dict[str, float]:
    """Return the features of a sentence, of the words given, beside the stretches of the lines it cites."""
    content = [word for word in words if word[1] not in STOP_WORDS]
    counts = Counter(content)
    missing = {word for word in counts if not stands(word, everywhere)}
    ranked = sorted(range(len(lines)), key=shares.__getitem__, reverse=True)[:NEAREST]
    covers = {place: _cover(counts, lines[place].reach) for place in ranked}
    best = max(ranked, key=covers.__getitem__)
    return {
        "reach": covers[best],
        "any_missing": float(bool(missing)),
        "tail_missing": float(sum(word in missing for word in content[-ENDING:])),
        "last_missing": float(bool(content) and content[-1] in missing),
        "apart_first": float(bool(content) and _astray(content[0], lines[best].reach, everywhere)),
        **_sorted(
            words, [lines[place] for place in ranked if covers[place] >= NEAR * covers[best]], covers[best]
        ),
        **_clauses(plain, words, lines, everywhere),
        **_departures(plain, words, [lines[place] for place in ranked], everywhere),
    }


def stands(word: Word, there: LineStems) -> bool:
    """Tell whether a word, one with its beginning, or its number stands there."""
    return there.akin(word[0]) or figure(word[1]) in there.stems


def _astray(word: Word, line: LineStems, everywhere: LineStems) -> bool:
    """Tell whether a word is missing in a line, but stands elsewhere."""
    return not line.akin(word[0]) and everywhere.akin(word[0])


def _cover(counts: Counter[Word], there: LineStems) -> float:
    """Return the share of the words, each as often as it is counted, that stand there."""
    return sum(count for word, count in counts.items() if stands(word, there)) / max(counts.total(), 1)


def _sorted(words: Sequence[Word], near: Sequence[PassageSentence], share: float) -> dict[str, float]:
    """Return whether the lines have another day, unit or colour where the sentence has one they lack."""
    mine = {word for word, _ in words}
    theirs = frozenset[str]().union(*(line.words.stems for line in near))
    reached = frozenset[str]().union(*(line.reach.stems for line in near))
    sorts = [_SORT_OF[word] for word in mine - reached if word in _SORT_OF]
    other = any(sort & _SORT_OF[word] for word in theirs - mine if word in _SORT_OF for sort in sorts)
    return {"sort": float(other), "sort_reach": share * other}


def _clauses(
    plain: str, words: Sequence[Word], lines: Sequence[PassageSentence], everywhere: LineStems
) -> dict[str, float]:
    """Return how many words of a clause stand elsewhere than in the line that has most of it."""
    counted = {token for _, token in words if token not in STOP_WORDS}
    clauses = _merged([[(stem(t), t) for t in tokens(part) if t in counted] for part in _CLAUSE.split(plain)])
    most, share = 0, 0.0
    for clause in clauses:
        stems = frozenset(word for word, _ in clause)
        line = max(lines, key=lambda line: _common(stems, line.reach)).reach
        astray = sum(_astray(word, line, everywhere) for word in clause)
        most, share = max(most, astray), max(share, astray / len(clause))
    return {"astray": float(min(most, FEW)), "astray_share": share, "clauses": log(len(clauses) or 1)}


def _merged(parts: Sequence[Sequence[Word]]) -> list[list[Word]]:
    """Return the clauses; one of a single word belongs to the one before it, the first to the next."""
    clauses: list[list[Word]] = []
    for part in parts:
        if not part:
            continue
        if clauses and (len(part) < 2 or (len(clauses[0]) < 2 and len(clauses) == 1)):
            clauses[-1] += part
        else:
            clauses.append(list(part))
    return clauses


def _common(stems: AbstractSet[str], there: LineStems) -> int:
    """Return how many stems stand there, those whose beginning does among them."""
    absent = stems - there.stems
    kin = sum(len(word) > AKIN_LETTERS and word[:AKIN_LETTERS] in there.beginnings for word in absent)
    return len(stems) - len(absent) + kin


def _departures(
    plain: str, words: Sequence[Word], lines: Sequence[PassageSentence], everywhere: LineStems
) -> dict[str, float]:
    """Return how the sentence departs from the stretch that is most like it."""
    mine = _stretch(words)
    stretch, like = _likest(mine, [stretch for line in lines for stretch in parted(line.text).compared])
    elsewhere = mine.content - stretch.stems & everywhere.stems
    lost = stretch.content - mine.stems
    first = next((word for word, token in words if token not in STOP_WORDS), "")
    parity = negations(plain) % 2 != negations(" ".join(token for _, token in stretch.words)) % 2
    return {
        "turned_round": float(parity),
        "turned_alike": like * parity,
        "traded": float(bool(lost) and bool(elsewhere)),
        "traded_one": float(len(lost) == len(elsewhere) == 1),
        "traded_first": float(first in elsewhere),
        "differing": float(len(lost) + len(elsewhere)),
        **_exchanged(mine, stretch, everywhere, parity),
    }


def _likest(mine: Stretch, stretches: Sequence[Stretch]) -> tuple[Stretch, float]:
    """Return the stretch with most words in common, of its own and of the sentence's, and their share."""
    weight = mine.weight

    def likeness(stretch: Stretch) -> float:
        content = len(mine.content & stretch.content)
        common = content + LITTLE * (len(mine.stems & stretch.stems) - content)
        return 2 * common / (weight + stretch.weight or 1)

    best = max(stretches, key=likeness)
    return best, likeness(best)


def _exchanged(mine: Stretch, stretch: Stretch, everywhere: LineStems, turned: bool) -> dict[str, float]:
    """Return whether a few words stand in another's place, of the passages' own words or new ones."""
    matcher = SequenceMatcher(None, [w for w, _ in mine.words], [w for w, _ in stretch.words], autojunk=False)
    exchanged = replaced = recounted = False
    for act, start, end, first, last in matcher.get_opcodes():
        if act == "equal" or max(end - start, last - first) > FEW:
            continue
        put = [w for w, _ in mine.words[start:end] if w in mine.content and w not in stretch.stems]
        gone = any(w in stretch.content and w not in mine.stems for w, _ in stretch.words[first:last])
        recounted |= _recounted(mine.words[start:end], stretch.words[first:last])
        if put and gone:
            exchanged |= put[0] in everywhere.stems
            replaced |= put[0] not in everywhere.stems
    same = sum(block.size for block in matcher.get_matching_blocks()) / max(len(mine.words), 1)
    copied = max(same - COPIED, 0.0) / (1 - COPIED)
    return {
        "exchange": float(exchanged),
        "exchange_same": same * exchanged,
        "replaced_same": same * replaced,
        "replaced_copied": copied * replaced,
        "recounted_same": same * recounted,
        "exchange_copied": copied * exchanged,
        "turned_copied": copied * turned,
    }


def _recounted(put: Sequence[Word], gone: Sequence[Word]) -> bool:
    """Tell whether one number stands for another, in digits or words."""
    mine, theirs = ({figure(t) for _, t in words if figure(t)[0].isdigit()} for words in (put, gone))
    return bool(mine) and bool(theirs) and mine.isdisjoint(theirs)


@lru_cache(maxsize=KEPT_LINES)
def parted(text: str) -> Parted:
    """Return a line as stretches of words; a line of none is one empty stretch."""
    parts = [words for part in _STRETCH.split(text) if (words := [(stem(t), t) for t in tokens(part)])]
    pairs = [first + second for first, second in pairwise(parts)]
    whole = [[word for part in parts for word in part]] if len(parts) != 2 else []
    single = tuple(map(_stretch, parts))
    return Parted(single, (*single, *map(_stretch, (*pairs, *whole))))


def _stretch(words: Sequence[Word]) -> Stretch:
    content = frozenset(word for word, token in words if token not in STOP_WORDS)
    weight = sum(LITTLE if token in STOP_WORDS else 1.0 for _, token in words)
    return Stretch(tuple(words), frozenset(word for word, _ in words), content, weight)
