"""Knows what some answers look like: a phone number has digits, a price speaks of money, a maker made it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.text.sentences import STOP_WORDS, stem, tokens

COMMON = 0.4  # share of the texts from which on a word tells none of them: the product's name
FEW = 2  # texts that may all be about one thing
_ASK = r"^\W*(?:and |so |but )?(?:what|which|is there|do you have|give me|tell me|how much)\b.*"
_MONEY = (
    r"[$€£¥]|\d[\d.,]* ?(?:euros?|dollars?|pounds?|cents?|francs?|usd|eur|gbp|chf)\b"
    r"|\b(?:free|gratis|billed|deducted|nothing|included|pric(?:e|es|ing|ed)|charg(?:e|es|ed)|fees?)\b"
    r"|\b(?:no|without|extra) (?:extra )?cost|\bcosts? (?:of|for|is|are|you|more|less|the|depend)"
)
_PAST = (
    r"(?:^\W*(?:and |so |but )?|\band )when (?:was|were|did)\b.*"
    r"\b(?:found|start|establish|releas|creat|launch|invent|publish|built|born)"
)
_MADE = r"(?:found|creat|invent|develop|design)"
_MAKER = r"^\W*(?:and |so |but )?who (?:wrote|made|built|started|" + _MADE + r"ed)\b"
_BY = r"\bby \w|\b(?:wrote|written|authors?|writers?|makers?|built|" + _MADE + r"(?:ed|ors?|ers?))\b"
_YEAR = r"\b1[5-9]\d\d\b|\b20\d\d\b|\bcentury\b|\b\d+ years\b"
_FORMS = (  # what is asked for, what it looks like, and whether a text about it must have it
    (_ASK + r"\b(?:tele)?phone numbers?\b", r"\+?\d[\d ()/.-]{5,}\d", False),
    (_ASK + r"\be-?mail address\b", r"\S@\S|\be-?mail|\bmailing list", False),
    (_ASK + r"\b(?:price|fee|costs?|charged?)\b", _MONEY, True),
    (r"^\W*(?:and |so |but )?how much (?:is|are|does|do|will)\b.*\b(?:cost|pay|charge)", _MONEY, True),
    (_PAST, _YEAR, True),
    (_MAKER, _BY, True),
)
_FORM_PATTERNS = [(re.compile(a, re.IGNORECASE), re.compile(b, re.IGNORECASE), near) for a, b, near in _FORMS]
_FORM_WORDS = frozenset(map(stem, ("price", "fee", "cost", "charge", "pay", "found", "start")))


def unmet(question: str, texts: Sequence[str]) -> bool:
    """Tell whether the question asks for something with a known look that no text has.

    A price, a year or a maker must stand in a text that shares another word with the question.
    """
    if not any(pattern.search(question) for pattern, _, _ in _FORM_PATTERNS):
        return False
    about = _content(question) - _FORM_WORDS
    stems = [_content(text) for text in texts]
    about -= {word for word in about if sum(word in other for other in stems) > max(COMMON * len(texts), FEW)}
    for pattern, look, near in _FORM_PATTERNS:
        if not pattern.search(question):
            continue
        pairs = zip(texts, stems, strict=True)
        read = [text for text, other in pairs if not near or not about or about & other]
        if not any(look.search(text) for text in read):
            return True
    return False


def _content(text: str) -> frozenset[str]:
    return frozenset(stem(token) for token in tokens(text) if token not in STOP_WORDS)
