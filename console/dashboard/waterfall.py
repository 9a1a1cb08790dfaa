"""The steps of a turn as bars in time, and what each step noted."""

from __future__ import annotations

import json
from html import escape
from math import floor, log10
from typing import Any

from console import format
from console.dashboard import markup, palette
from traces.records import Span, Trace

LONGEST_NAME = 40  # characters; the rest is in the tooltip
MOST_TICKS = 6


def render(trace: Trace) -> str:
    """Return the waterfall beside the pane of the chosen step; the longest step inside is chosen first."""
    spans = _in_order(trace.spans)
    if not spans:
        return '<p class="quiet">No steps were recorded for this turn.</p>'
    total = max((span.start_seconds + span.seconds for span, _ in spans), default=0) or 0.001
    chosen = _most_telling(spans)
    steps = "".join(_step(span, depth, total, span.span_id == chosen) for span, depth in spans)
    panes = "".join(_pane(span, trace, span.span_id != chosen) for span, _ in spans)
    return (
        f'<div class="flow"><div class="card"><h2>Timeline</h2><div class="waterfall" role="radiogroup" '
        f'aria-label="Steps of the turn">{_axis(total)}{steps}</div>{_kinds(spans)}</div>'
        f'<div class="card">{panes}</div></div>'
    )


def _in_order(spans: tuple[Span, ...]) -> list[tuple[Span, int]]:
    """Return the spans as a tree read top to bottom, each with its depth; orphans hang on the root."""
    span_ids = {span.span_id for span in spans}
    children: dict[int | None, list[Span]] = {}
    for span in sorted(spans, key=lambda span: (span.start_seconds, span.span_id)):
        parent = span.parent_id if span.parent_id in span_ids and span.parent_id != span.span_id else None
        children.setdefault(parent if span.span_id else None, []).append(span)
    ordered: list[tuple[Span, int]] = []

    def visit(parent: int | None, depth: int) -> None:
        for span in children.pop(parent, ()):
            ordered.append((span, depth))
            visit(span.span_id, depth + 1)

    visit(None, 0)
    return ordered


def _most_telling(spans: list[tuple[Span, int]]) -> int:
    """Return the step to open first: the one that failed, else the longest below the whole turn."""
    inside = [span for span, depth in spans if depth > 0] or [spans[0][0]]
    failed = [span for span in inside if span.error]
    return max(failed or inside, key=lambda span: span.seconds).span_id


def _axis(total: float) -> str:
    gap = _gap(total)
    marks = [
        (tick * gap / total, format.seconds(tick * gap) if tick else "0")
        for tick in range(int(total / gap) + 1)
    ]
    labels = "".join(f'<span style="left:{share:.1%}">{label}</span>' for share, label in marks)
    lines = "".join(f'<i style="left:{share:.1%}"></i>' for share, _ in marks)
    return f'<div aria-hidden="true"><div class="axis">{labels}</div><div class="grid">{lines}</div></div>'


def _gap(total: float) -> float:
    """Return the smallest round distance (1, 2 or 5 times a power of ten) that needs few ticks."""
    decade = 10 ** floor(log10(total / MOST_TICKS))
    return next(decade * unit for unit in (1, 2, 5, 10) if total / (decade * unit) <= MOST_TICKS)


def _step(span: Span, depth: int, total: float, chosen: bool) -> str:
    start, width = span.start_seconds / total, span.seconds / total
    name = span.name if len(span.name) <= LONGEST_NAME else span.name[: LONGEST_NAME - 1] + "…"
    colour = palette.KINDS.get(span.kind, palette.NEUTRAL)
    spent = format.seconds(span.seconds) + (" ✕" if span.error else "")
    return (
        f'<label class="step{" failed" if span.error else ""}" style="--c:{colour};--depth:{depth}" '
        f'title="{escape(span.name)}"><input type="radio" name="step" value="{span.span_id}"'
        f'{" checked" if chosen else ""}><span class="name">{escape(name)}</span>'
        f'<span class="lane"><b style="left:{start:.2%};width:{width:.2%}"></b>'
        f'<span style="left:max({start + width:.2%}, calc({start:.2%} + 4px))">{spent}</span></span></label>'
    )


def _pane(span: Span, trace: Trace, hidden: bool) -> str:
    rows: list[tuple[str, Any]] = [
        ("Starts at", format.seconds(span.start_seconds) if span.start_seconds else "0")
    ]
    if span.error:
        rows.append(("Error", span.error))
    rows += [(name.replace("_", " "), _readable(value)) for name, value in span.attributes.items()]
    if span.span_id == 0:
        rows += [("outcome", trace.turn.outcome), ("error class", trace.turn.error_class)]
    colour = palette.KINDS.get(span.kind, palette.NEUTRAL)
    seen = " hidden" if hidden else ""
    return (
        f'<div class="pane" data-pane="{span.span_id}"{seen}><h2>{escape(span.name)}</h2>'
        f'<span class="dot" style="--c:{colour}"></span><span class="quiet">{escape(span.kind)} · '
        f"{format.seconds(span.seconds)}</span>{markup.pairs(rows)}</div>"
    )


def _readable(value: Any) -> str | None:
    if isinstance(value, float):
        return f"{value:.4g}"
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _kinds(spans: list[tuple[Span, int]]) -> str:
    kinds = dict.fromkeys(span.kind for span, _ in spans)
    return markup.legend({kind: palette.KINDS.get(kind, palette.NEUTRAL) for kind in kinds})
