"""The marker of a citation in an answer: the number of a passage in brackets."""

from __future__ import annotations

import re

# Passages are counted from 1, and `choices[1].text` is an index: "two days[1]." is a citation all the same.
MARKER = re.compile(r"(?:(?<!\w)\[|\[(?!\d{1,3}\](?:\.\w|[`(]| ?=)))([1-9]\d{0,2})\]")
_WITH_SPACE = re.compile(r"\s*" + MARKER.pattern)


def cited_numbers(answer: str) -> set[int]:
    """Return the numbers of the passages an answer cites."""
    return {int(number) for number in MARKER.findall(answer)}


def unmarked(answer: str) -> str:
    """Return an answer without its markers and the blanks before them."""
    return _WITH_SPACE.sub("", answer)
