"""Questions that a text asks and answers itself, as in a list of frequent ones."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SINGLE = re.compile(r"(?:[^.?!]|\.(?=\S)|(?<=\d)\. )+\?$")


def asks(text: str) -> bool:
    """Tell a line or a heading that asks one question."""
    return text.endswith("?") and _SINGLE.match(text) is not None


def under(texts: Sequence[str], head: int) -> range:
    """Return the places of what stands under a question: up to the next heading or question."""
    last = head + 1
    while last < len(texts) and not texts[last].startswith("#") and not asks(texts[last]):
        last += 1
    return range(head + 1, last)
