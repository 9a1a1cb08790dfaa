"""Weighs how a sentence departs from the lines it cites: words new, swapped, added, denied, out of order.

A small logistic model, fitted by evalsets/fit_support.py, whose weights lie in deviation.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache, cached_property, lru_cache
from math import exp, log
from pathlib import Path

from pipeline.guardrails.lines import REMEMBERED, LineStems, PassageSentence, Word, stated, stemmed, together
from pipeline.guardrails.novelty import measure_novelty
from pipeline.guardrails.stretches import measure_stretches
from pipeline.text.polarity import contradicted, contrary, negations, opposites
from pipeline.text.sentences import STOP_WORDS, rarity, stem, tokens

WEIGHTS = Path(__file__).parent / "deviation.json"
PAIRED = 0.1  # how much more two lines must share than one, to be compared as one
NEAR = 0.75  # share of the best line's words from which another is near, too
SWAPPED = 2  # words that another one or two stand for
SCANT, SCANT_COVER = 0.3, 0.4  # shares of the words below which fewer say more
MOST = 4.0  # new words beyond which more say nothing more
PRODUCTS = (  # features that say more as a product; chosen on the sets of the fit
    ("clauses", "traded_first"),
    ("run", "denied"),
    ("apart_first", "far_last"),
    ("opposite", "parity"),
    ("far_sum", "back"),
    ("parity", "astray"),
)
_CLAUSE = re.compile(
    r"[,;:()]|\b(?:and|but|because|so|which|while|or|when|if|unless|until|with)\b", re.IGNORECASE
)
_BUT = re.compile(r"[;.]\s|, (?:but|and|or)\b|\bbut\b")
_FILLER = frozenset(
    """well yeah yes yep sure okay ok oh indeed actually basically simply really usually normally generally
    currently additionally however therefore means mean called known referred several various always
    also happen happens need needs""".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Cited:
    """The cited lines, the share of the sentence's words each has, and whose they are."""

    lines: Sequence[PassageSentence]
    shares: Sequence[float]
    owners: Sequence[int]

    @cached_property
    def everywhere(self) -> LineStems:
        """The words of all lines."""
        return together(line.words for line in self.lines)

    @cached_property
    def near(self) -> list[PassageSentence]:
        """The lines that share about as much as the best one."""
        most = max(self.shares, default=0.0)
        return [line for line, share in zip(self.lines, self.shares, strict=True) if share >= NEAR * most]


def deviation(features: dict[str, float]) -> float:
    """Return how likely a sentence says something else than its passages, 0..1."""
    bias, weights = _model()
    total = bias + sum(weight * features[name] for name, weight in weights.items())
    return 1 / (1 + exp(-max(-30.0, min(30.0, total))))


@cache
def _model() -> tuple[float, dict[str, float]]:
    fitted = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    return fitted["bias"], fitted["weights"]


@cache
def threshold() -> float:
    """Return the deviation from which a sentence counts as unsupported."""
    return json.loads(WEIGHTS.read_text(encoding="utf-8"))["threshold"]


def measure(plain: str, cited: Cited, odd: bool, unnamed: bool, whole: float) -> dict[str, float]:
    """Return the features of a sentence.

    `odd` and `unnamed`: a number or a name is not there; `whole`: the share of its words that is.
    """
    everywhere = cited.everywhere
    text, share = _closest(plain, cited)
    words = [word for word in stemmed(plain) if word[1] not in _FILLER]
    content = [word for word in words if word[1] not in STOP_WORDS]
    akin = {word for word, _ in set(content) if everywhere.akin(word)}
    new = [token for word, token in content if word not in akin]
    count = max(len(content), 1)
    single = {
        "together": share,
        "everywhere": stated(plain).share(everywhere),
        "new_share": len(new) / count,
        "together_new": share * bool(new),
        "rare_new": max(map(rarity, new), default=0.0),
        "run": min(_run([word in akin for word, _ in content]), MOST),
        "odd": float(odd),
        "unnamed": float(unnamed),
        "length": log(count),
        **_clauses(plain, everywhere),
        **_aligned(words, text, everywhere, bool(new)),
        **_denials(plain, text, cited.near, share),
        **measure_stretches(plain, words, cited.lines, cited.shares, everywhere),
        **measure_novelty(content, cited.lines, everywhere),
    }
    single["scant"] = max(SCANT - whole, 0.0)
    single["scant_cover"] = max(SCANT_COVER - single["cover"], 0.0)
    return {**single, **{f"{name}*{other}": single[name] * single[other] for name, other in PRODUCTS}}


def _closest(plain: str, cited: Cited) -> tuple[str, float]:
    """Return the line, or two lines that follow each other, with most of the sentence's words."""
    statement = stated(plain)
    best = max(range(len(cited.lines)), key=cited.shares.__getitem__)
    text, share = cited.lines[best].text, cited.shares[best]
    for place in (best - 1, best):
        if not 0 <= place < len(cited.lines) - 1 or cited.owners[place] != cited.owners[place + 1]:
            continue
        first, second = cited.lines[place], cited.lines[place + 1]
        both = statement.share(together((first.words, second.words)))
        if both > share + PAIRED:
            text, share = f"{first.text} {second.text}", both
    return text, share


def _run(there: Sequence[bool]) -> int:
    """Return the most content words in a row that are nowhere."""
    longest = run = 0
    for known_word in there:
        run = 0 if known_word else run + 1
        longest = max(longest, run)
    return longest


def _clauses(plain: str, everywhere: LineStems) -> dict[str, float]:
    """Return the least share of a clause's content words that is there."""
    least, lost = 1.0, 0
    for clause in _CLAUSE.split(plain):
        content = [stem(word) for word in tokens(clause) if word not in STOP_WORDS and word not in _FILLER]
        if len(content) < 2:
            continue
        new = sum(not everywhere.akin(word) for word in content)
        least, lost = min(least, 1 - new / len(content)), max(lost, new)
    return {"clause": least, "clause_new": min(lost, MOST)}


def _aligned(words: Sequence[Word], text: str, everywhere: LineStems, any_new: bool) -> dict[str, float]:
    """Return what is in another's place, and the share that stands in the same order."""
    other = stemmed(text)
    mine, theirs = [word for word, _ in words], [word for word, _ in other]
    matcher = SequenceMatcher(None, mine, theirs, autojunk=False)
    swapped = turned = 0
    for act, start, end, first, last in matcher.get_opcodes():
        new = [w for w, token in words[start:end] if token not in STOP_WORDS and w not in everywhere.stems]
        lost = [w for w, token in other[first:last] if token not in STOP_WORDS and w not in mine]
        if act == "replace" and max(end - start, last - first) <= SWAPPED:
            turned += any(contrary(w, o) for w, _ in words[start:end] for o, _ in other[first:last])
        if act == "replace" and new and lost and max(len(new), len(lost)) <= SWAPPED:
            swapped += 1
    kept_share = sum(block.size for block in matcher.get_matching_blocks()) / max(len(mine), 1)
    return {
        "swapped": min(swapped, SWAPPED),
        "turned": kept_share * bool(turned),
        "frame_new": kept_share * any_new,
    }


def _denials(plain: str, text: str, near: Sequence[PassageSentence], share: float) -> dict[str, float]:
    """Return whether it denies what the lines say, or has a word of contrary sense."""
    statement = stated(plain)
    closest, _ = max(_parts(text), key=lambda part: statement.share(part[1]), default=(text, None))
    parity = negations(plain) % 2 != negations(closest) % 2 and negations(plain) % 2 != negations(text) % 2
    return {
        "opposite": float(all(opposites(plain, line.text) for line in near)),
        "opposite_close": float(bool(opposites(plain, closest))),
        "denied": float(all(contradicted(plain, line.text) for line in near)),
        "parity": float(parity),
    }


@lru_cache(maxsize=REMEMBERED)
def _parts(text: str) -> tuple[tuple[str, LineStems], ...]:
    """Return the parts of a line that may be denied alone, each with its words."""
    parts = (part for part in _BUT.split(text) if part.strip())
    return tuple((part, LineStems(frozenset(map(stem, tokens(part))), frozenset())) for part in parts)
