"""Tiles and cards as HTML: a page of figures is one element then, which a browser draws at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Literal

_SIDE = 100  # of the square that the browser stretches over a line
Growing = Literal["normal", "inverse", "off"]


def tile(title: str, value: str, definition: str, below: str = "", line: Sequence[float] = ()) -> str:
    """Return a figure under its name, with what it means on a hover, HTML `below` it, and its line."""
    spark = _line(line) if len(line) > 2 else ""
    return (
        f"<div><dt>{escape(title)}{hint(title, definition)}</dt>"
        f"<dd><b>{escape(value)}</b>{below}</dd>{f'<dd>{spark}</dd>' if spark else ''}</div>"
    )


def tiles(drawn: Iterable[str], across: int) -> str:
    """Return tiles side by side, at most so many in a row."""
    return f'<dl class="tiles" style="--across:{across}">{"".join(drawn)}</dl>'


def change(text: str | int | None, growing: Growing) -> str:
    """Return how a figure changed, with its direction as an arrow and whether that is good as a colour."""
    if text is None:
        return ""
    words = str(text)
    up, down = words.startswith("+"), words.startswith("-")
    good = up if growing == "normal" else down
    kind = "even" if growing == "off" or not (up or down) else "good" if good else "bad"
    arrow = "▲ " if up else "▼ " if down else ""
    return f'<span class="change {kind}">{arrow}{escape(words)}</span>'


def note(text: str) -> str:
    """Return a quiet word below a figure."""
    return f'<span class="change even">{escape(text)}</span>'


def card(title: str, definition: str, html: str) -> str:
    """Return what is drawn under a title, with a hint that says what it shows."""
    return f'<section class="card"><h2>{escape(title)}{hint(title, definition)}</h2>{html}</section>'


def cards(drawn: Iterable[str]) -> str:
    """Return cards, two in a row where there is room."""
    return f'<div class="cards">{"".join(drawn)}</div>'


def hint(title: str, definition: str) -> str:
    """Return a question mark that says on a hover, or when it has the focus, what something means."""
    words, label = escape(definition).replace("\n\n", "<br><br>"), " ".join(definition.split())
    return (
        f'<button type="button" class="hint" aria-label="{escape(f"{title}: {label}")}">?'
        f'<span aria-hidden="true">{words}</span></button>'
    )


def _line(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    height = (high - low) or 1.0
    places = [
        f"{_SIDE * step / (len(values) - 1):.1f} {_SIDE * (1 - (value - low) / height):.1f}"
        for step, value in enumerate(values)
    ]
    path = f"M{'L'.join(places)}"
    return (
        f'<svg class="spark" viewBox="0 0 {_SIDE} {_SIDE}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="under" d="{path}V{_SIDE}H0z"/><path class="line" d="{path}"/></svg>'
    )
