"""HTML of our own on a page: everything is escaped here, and its links stay inside the app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from streamlit.components.v2 import component

from console.dashboard import palette

FOLDER = Path(__file__).parent
MOST_ROWS = 5_000  # of a table that are sent to a browser
OUTCOME_MARKS = {
    "answered": "✓",
    "no_context": "∅",
    "refused": "⊘",
    "degraded": "↓",
    "cut": "✂",
    "abandoned": "…",
    "failed": "✕",
}


def show(html: str, key: str) -> None:
    """Show HTML whose variable parts are escaped already; its links open without a reload."""
    mount = component(
        "markup", js=(FOLDER / "markup.js").read_text(), css=(FOLDER / "markup.css").read_text()
    )
    mount(data=html, key=key)


def address(path: str, **params: str | list[str] | None) -> str:
    """Return the address of a page with its parameters, missing ones left out."""
    query = urlencode({name: value for name, value in params.items() if value}, doseq=True)
    return f"/{path}?{query}" if query else f"/{path}"


def link(label: str, to: str, css: str = "") -> str:
    """Return a link that opens inside the app, and in a new tab when asked to."""
    where = escape(to)
    return f'<a class="{css}" href="{where}" data-open="{where}">{escape(label)}</a>'


def chip(label: str, colour: str, title: str = "") -> str:
    """Return a small coloured label."""
    return f'<span class="chip" style="--c:{colour}" title="{escape(title)}">{escape(label)}</span>'


def legend(named: Mapping[str, str]) -> str:
    """Return the legend of a chart: each name with its colour."""
    return '<div class="kinds">' + "".join(dotted(name, colour) for name, colour in named.items()) + "</div>"


def dotted(name: str, colour: str) -> str:
    """Return a name behind a dot of its colour."""
    return f'<span><i class="dot" style="--c:{colour}"></i>{escape(name)}</span>'


def outcome_chip(outcome: str, error: str | None = None) -> str:
    """Return the label of an outcome: its colour, its sign and its name."""
    label = f"{OUTCOME_MARKS.get(outcome, '•')} {outcome.replace('_', ' ')}"
    return chip(label, palette.OUTCOMES.get(outcome, palette.NEUTRAL), error or "")


def rating(value: float | None) -> str:
    """Return the users' thumb as a word with its colour, or a dash."""
    if value is None:
        return '<span class="quiet">—</span>'
    colour, label = (palette.GOOD, "▲ up") if value > 0 else (palette.BAD, "▼ down")
    return chip(label, colour)


def bar(label: str, share: float, value: str, colour: str, to: str) -> str:
    """Return a bar of `share` of the full width, with its label and value, that opens an address."""
    where, name = escape(to), escape(label)
    fill = f'<i style="--c:{colour};width:{share:.2%}"></i>'
    return (
        f'<a href="{where}" data-open="{where}"><span>{name}</span><span class="track">{fill}</span>'
        f'<span class="value">{escape(value)}</span></a>'
    )


def cell(html: str, css: str = "") -> str:
    """Return a table cell; `css` is right (numbers), text (wraps), quiet, extra (not on phones)."""
    return f'<td class="{css}">{html}</td>' if css else f"<td>{html}</td>"


def row(cells: Sequence[str], to: str | None = None) -> str:
    """Return a table row; with an address the whole row opens it."""
    opens = f' data-open="{escape(to)}"' if to else ""
    return f"<tr{opens}>{''.join(cells)}</tr>"


def table(heads: Sequence[str], rows: Sequence[str], css: str = "list") -> str:
    """Return a table; a head that ends with a space stands over numbers, at the right."""
    cells = "".join(
        f'<th scope="col" class="{"right" if head.endswith(" ") else ""}">{escape(head.strip())}</th>'
        for head in heads
    )
    head, body = f"<thead><tr>{cells}</tr></thead>", f"<tbody>{''.join(rows[:MOST_ROWS])}</tbody>"
    return f'<div class="scroll"><table class="{css}">{head}{body}</table></div>{_left_out(len(rows))}'


def _left_out(rows: int) -> str:
    if rows <= MOST_ROWS:
        return ""
    return (
        f'<p class="quiet">The first {MOST_ROWS:,} of {rows:,} rows are drawn. All of them are in the '
        "download below; a search or a shorter range shows fewer.</p>"
    )


def small(html: str, css: str = "") -> str:
    """Return a second, quieter line of a cell."""
    return f'<small class="{css}">{html}</small>'


def facts(pairs: list[tuple[str, str]]) -> str:
    """Return a row of tiles, a label and a value each."""
    tiles = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{tiles}</dl>'


def pairs(rows: list[tuple[str, Any]]) -> str:
    """Return a two-column list of names and values; a missing value is a dash."""
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{'—' if value is None else escape(str(value))}</td></tr>"
        for name, value in rows
    )
    return f'<table class="pairs">{cells}</table>'
