"""Fenced code in a text: its lines belong together and stay as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import dedent

Span = tuple[int, int]
FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})([^`\n]*)$", re.MULTILINE)


def together(text: str, spans: Sequence[Span]) -> list[tuple[int, int]]:
    """Return the first and last span of each unit: a fenced block with the words that lead to it, or a span.

    A block belongs to the sentence before it when that ends with a colon, or when the block is
    indented, as under a step.
    """
    fences = _fenced(text)
    units: list[tuple[int, int]] = []
    inside = -1
    for number, (start, _) in enumerate(spans):
        place = next((i for i, (first, last) in enumerate(fences) if first <= start < last), -1)
        if place >= 0 and (place == inside or (units and _led(text, spans[units[-1][1]], spans[number]))):
            units[-1] = (units[-1][0], number)
        else:
            units.append((number, number))
        inside = place
    return units


def parted(text: str) -> tuple[str, str]:
    """Return the words before a fenced block and the block, closed and without indentation; "" for none."""
    match = FENCE.search(text)
    if match is None:
        return text, ""
    if match.end() == len(text.rstrip()) and not match[2]:  # cut out of a longer block, its end alone
        return "", f"{match[1]}\n{dedent(text.expandtabs()).strip()}"
    code = dedent(text[match.start() :].expandtabs()).rstrip()
    marks = FENCE.findall(code)
    return text[: match.start()], code if len(marks) % 2 == 0 else f"{code}\n{match[1]}"


def _fenced(text: str) -> list[Span]:
    """Return where the fenced blocks are; one that is never closed goes on to the end.

    A text that was cut out of a longer one may begin within a block: then a fence that says a
    language would close one.
    """
    matches = list(FENCE.finditer(text))
    if any(match[2].strip() for match in matches[1::2]) and not any(m[2].strip() for m in matches[::2]):
        head, matches = [(0, matches[0].end())], matches[1:]
    else:
        head = []
    fences: list[Span] = head
    opening: re.Match[str] | None = None
    for match in matches:
        if opening is None:
            opening = match
        elif match[1].startswith(opening[1]) and not match[2].strip():
            fences.append((opening.start(), match.end()))
            opening = None
    return [*fences, (opening.start(), len(text))] if opening else fences


def _led(text: str, before: Span, block: Span) -> bool:
    line = text[text.rfind("\n", 0, block[0]) + 1 : block[0]]
    return text[slice(*before)].rstrip().endswith(":") or bool(line)
