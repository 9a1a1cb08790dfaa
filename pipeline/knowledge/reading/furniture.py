"""Takes the lines off that open or close most pages of a web site: menus, notices, footers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.knowledge.documents import Document
from pipeline.knowledge.reading.files import Found

FEWEST_PAGES = 3
SHARE = 0.6
EDGE_LINES = 60


def without(candidates: Sequence[Found]) -> list[Found]:
    """Return the documents, HTML pages without what most of their folder's pages share at both ends.

    The first page that has such a line keeps it, so that nothing is lost.
    """
    pages: dict[str, list[int]] = {}
    for place, candidate in enumerate(candidates):
        if isinstance(candidate, Document) and candidate.source.lower().endswith((".html", ".htm")):
            pages.setdefault(str(Path(candidate.source).parent), []).append(place)
    rest = list(candidates)
    for places in pages.values():
        if len(places) >= FEWEST_PAGES:
            _trim(rest, places)
    return rest


def _trim(rest: list[Found], places: Sequence[int]) -> None:
    texts = {place: _lines(rest[place]) for place in places}
    counts = Counter(line for lines in texts.values() for line in set(_edges(lines)))
    shared = {line for line, count in counts.items() if count >= max(FEWEST_PAGES, SHARE * len(places))}
    seen: set[str] = set()
    for place, lines in texts.items():
        repeated = shared & seen
        seen |= shared & set(_edges(lines))
        low, high = 0, len(lines)
        while low < high and (lines[low] in repeated or not lines[low]):
            low += 1
        while high > low and (lines[high - 1] in repeated or not lines[high - 1]):
            high -= 1
        page = rest[place]
        if isinstance(page, Document) and low < high:
            rest[place] = replace(page, text="\n".join(lines[low:high]))


def _lines(page: Found) -> list[str]:
    return [line.strip() for line in page.text.split("\n")] if isinstance(page, Document) else []


def _edges(lines: Sequence[str]) -> list[str]:
    return [line for line in (*lines[:EDGE_LINES], *lines[-EDGE_LINES:]) if line]
