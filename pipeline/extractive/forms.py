"""Knows what some answers look like: a phone number has digits, a price speaks of money."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ASK = r"^\W*(?:and |so |but )?(?:what|which|is there|do you have|give me|tell me|how much)\b.*"
_FORMS = (  # what is asked for, and what it looks like
    (r"\b(?:tele)?phone numbers?\b", r"\+?\d[\d ()/.-]{5,}\d"),
    (
        r"\b(?:price|fee|costs?|charged?)\b",
        r"[$€£¥]|\b(?:pric\w+|costs?|charg\w+|fees?|free|paid|pay\w*|bill\w*)\b",
    ),
    (r"\be-?mail address\b", r"\S@\S|\be-?mail|\bmailing list"),
)
_FORM_PATTERNS = [(re.compile(_ASK + a, re.IGNORECASE), re.compile(b, re.IGNORECASE)) for a, b in _FORMS]


def unmet(question: str, texts: Sequence[str]) -> bool:
    """Tell whether the question asks for something with a known look that no text has."""
    looks = [look for pattern, look in _FORM_PATTERNS if pattern.search(question)]
    return any(not any(look.search(text) for text in texts) for look in looks)
