"""Tells whether two questions ask the same, strictly enough that one's passages may serve the other.

Sentence vectors cannot: "turn on" and "turn off" lie closer together than most paraphrases. So the
words decide and the vectors only object: all content words must agree, in their order since "teachers
rate students" is not "students rate teachers", and so must numbers, codes, negations, quantities,
owners, little words of place and reason, what is asked for (who, when, how long) and who acts (`roles`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from pipeline.context.roles import anothers, marks, ordered, plain
from pipeline.text.polarity import contradicted, digits, negates, numbers, opposites
from pipeline.text.sentences import STOP_WORDS, stem, tokens

THRESHOLD = 0.86  # cosine; 0 of 200 near misses pass, see tests/pipeline/test_cache.py for the hit rate

FREE_ORDER = 2  # a verb and its object mean the same in either order ("is the server started")

_GUARDED = frozenset(
    """on off in out up down with without before after above below over under between during against
    not no nor never cannot only all both each every any other another else few more most less least too
    own same from by for to as at about through until than again once still yet ever and or if unless
    because although while they them their theirs he him his she her hers who whom whose
    arms customs damages glasses goods news https""".split()  # noqa: SIM905
)
_EMPTY = frozenset(
    stem(word)
    for word in """possible way ways want tell know explain steps step try trying make able thanks thank
    hello hi hey please""".split()  # noqa: SIM905
)
_KINDS = (
    ("how long", re.compile(r"\bhow long\b|\bhow much time\b")),
    ("how many", re.compile(r"\bhow many\b")),
    ("how much", re.compile(r"\bhow much\b")),
    ("how often", re.compile(r"\bhow often\b")),
    ("how adj", re.compile(r"\bhow (?:old|far|big|large|high|deep|fast|tall|heavy|soon|late)\b")),
    ("why", re.compile(r"\bwhy\b|\bhow come\b|\breason\b")),
    ("when", re.compile(r"^\W*when\b|\b(?:what time|which day)\b")),
    ("where", re.compile(r"\bwhere\b")),
    ("who", re.compile(r"\bwho(?:m|se)?\b")),
    ("how", re.compile(r"\bhow\b|\bway to\b|\bsteps? to\b")),
    ("may", re.compile(r"^\W*(?:can|may|could|is it (?:possible|allowed))\b")),
    ("must", re.compile(r"^\W*(?:must|should|shall|do i (?:have|need) to)\b")),
    ("was", re.compile(r"^\W*(?:did|was|were|had|has|have)\b|\bwhat (?:was|were|did)\b")),
    ("is", re.compile(r"^\W*(?:is|are|does|do)\b")),
    ("which", re.compile(r"\bwhich\b")),
    ("what", re.compile(r"\bwhat\b")),
)


def same(text: str, other: str) -> bool:
    """Say whether the two questions ask the same; symmetric, and true for equal texts."""
    (*first, mine), (*second, yours) = _frame(text), _frame(other)
    if first != second:
        return False
    if mine != yours and (not _free(text, mine) or sorted(mine) != sorted(yours)):
        return False
    if anothers(_folded(text), _folded(other)):
        return False
    return not opposites(text, other) and not contradicted(text, other)


@lru_cache(maxsize=4096)
def _frame(text: str) -> tuple[Any, ...]:
    """Return what must be equal: kind, marks, numbers, guarded words, owners, negation; last the content."""
    every, folded = tokens(text), _folded(text)
    guarded = frozenset(word for word in tokens(plain(folded)) if word in _GUARDED)
    content = _content(every)
    owners = frozenset(word for word in every if word.endswith("'s") and stem(word) not in STOP_WORDS)
    counts = (numbers(text), digits(text))
    return _kind(folded), marks(text, folded), *counts, guarded, owners, negates(text), tuple(content)


def _free(text: str, content: tuple[str, ...]) -> bool:
    return len(content) <= FREE_ORDER and not ordered(_folded(text))


def _content(every: list[str]) -> list[str]:
    stems = (stem(token) for token in every if token not in STOP_WORDS)
    return [word for word in stems if word and word not in _EMPTY]


def _folded(text: str) -> str:
    return text.casefold().replace("’", "'").replace("what's", "what is").replace("who's", "who is")


def _kind(folded: str) -> str:
    return next((kind for kind, pattern in _KINDS if pattern.search(folded)), "")
