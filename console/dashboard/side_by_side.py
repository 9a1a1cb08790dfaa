"""Two texts line by line beside each other, the words that differ marked."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from html import escape

from console.dashboard import palette

ADDED, REMOVED = palette.GOOD, palette.BAD
_CELL = "white-space:pre-wrap;overflow-wrap:anywhere;vertical-align:top;padding:3px 12px;border:0"
_HEAD = "width:50%;min-width:230px"


def table(left: str, a: Sequence[str], right: str, b: Sequence[str]) -> str:
    """Return a table of two columns named `left` and `right`, changes in colour."""
    heads = "".join(f'<th scope="col" style="{_HEAD}">{escape(name)}</th>' for name in (left, right))
    rows = "".join(_line(*pair) for pair in _pairs(a, b))
    body = f'<table class="list"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="scroll">{body}</div>'


def _pairs(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[str | None, str | None]]:
    """Yield the lines side by side; None where the other side has a line more."""
    for _, a0, a1, b0, b1 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        left, right = a[a0:a1], b[b0:b1]
        for place in range(max(len(left), len(right))):
            yield (
                left[place] if place < len(left) else None,
                right[place] if place < len(right) else None,
            )


def _line(a: str | None, b: str | None) -> str:
    same = a == b
    return f"<tr>{_side(a, b, same, REMOVED)}{_side(b, a, same, ADDED)}</tr>"


def _side(text: str | None, other: str | None, same: bool, colour: str) -> str:
    """Return one side of a line, the words that differ marked."""
    if text is None:
        return f'<td style="{_CELL}"></td>'
    if same:
        return f'<td class="quiet" style="{_CELL}">{escape(text) or "&nbsp;"}</td>'
    back = f"background:color-mix(in srgb, {colour} 12%, transparent)"
    return f'<td style="{_CELL};{back}">{_words(text, other or "", colour) or "&nbsp;"}</td>'


def _words(text: str, other: str, colour: str) -> str:
    mine, theirs = text.split(" "), other.split(" ")
    parts: list[str] = []
    for tag, i, j, _, _ in difflib.SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes():
        piece = escape(" ".join(mine[i:j]))
        if tag != "equal" and piece and other:
            back = f"background:color-mix(in srgb, {colour} 32%, transparent);border-radius:3px"
            piece = f'<mark style="{back};color:inherit">{piece}</mark>'
        if piece:
            parts.append(piece)
    return " ".join(parts)
