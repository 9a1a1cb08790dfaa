"""What the passages say to each sentence of an answer, and what was remembered for it, as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from console import format
from console.dashboard import markup, palette
from traces.records import Passage, Trace

CHECK, RECALL = "check answer", "recall"  # the spans that hold them
SUPPORTS = {
    "supported": ("✓ supported", palette.GOOD),
    "partly": ("◐ partly", "#f59e0b"),
    "unsupported": ("✕ unsupported", palette.BAD),
    "uncited": ("○ uncited", palette.NEUTRAL),
}


def checks(trace: Trace) -> str:
    """Return each sentence with its support and the passage's own words; why none was checked."""
    notes = _notes(trace, CHECK)
    sentences = [row for row in notes.get("sentences") or () if isinstance(row, dict)]
    if not sentences:
        why = "No answer was given." if not trace.turn.answer else "No sentence of this answer was checked."
        return f'<h3>Sentence checks</h3><p class="quiet">{why}</p>'
    passages = {passage.n: passage for passage in trace.passages if passage.n is not None}
    rows = [_sentence(row, passages) for row in sentences]
    rows += [_removed(row) for row in notes.get("removed") or () if isinstance(row, dict)]
    heads = ["Sentence", "Support", "Strength ", "Passage's words"]
    policy = f"Policy for what the passages do not say: {escape(str(notes.get('policy', '—')))}."
    return f'<h3>Sentence checks</h3>{markup.table(heads, rows)}<p class="quiet">{policy}</p>'


def memory(trace: Trace) -> str:
    """Return the summary and the facts that this turn was given; nothing where there were none."""
    notes = _notes(trace, RECALL)
    facts = [row for row in notes.get("facts") or () if isinstance(row, dict)]
    if not notes.get("summary") and not facts:
        return ""
    parts = ["<h3>Remembered for this turn</h3>"]
    if notes.get("summary"):
        parts.append(f'<p class="quiet">{escape(str(notes["summary"]))}</p>')
    rows = [
        markup.row(
            [
                markup.cell(escape(str(fact.get("text", "—"))), "text"),
                markup.cell(_stated(fact)),
            ]
        )
        for fact in facts
    ]
    return "".join([*parts, markup.table(["Fact", "Stated in"], rows) if rows else ""])


def _stated(fact: Mapping[str, Any]) -> str:
    turn_id = str(fact.get("turn_id") or "")
    return markup.link(format.short_id(turn_id), markup.address("turns", turn=turn_id)) if turn_id else "—"


def _notes(trace: Trace, name: str) -> Mapping[str, Any]:
    """Return what the last span of this name noted."""
    return next((span.attributes for span in reversed(trace.spans) if span.name == name), {})


def _sentence(row: Mapping[str, Any], passages: Mapping[int, Passage]) -> str:
    label, colour = SUPPORTS.get(str(row.get("support")), (str(row.get("support")), palette.NEUTRAL))
    reasons = ", ".join(str(reason) for reason in row.get("reasons") or ())
    strength = row.get("strength")
    return markup.row(
        [
            markup.cell(escape(str(row.get("text", ""))), "text"),
            markup.cell(
                markup.chip(label, colour) + (markup.small(escape(reasons)) if reasons else ""), "text"
            ),
            markup.cell(format.score(strength if isinstance(strength, int | float) else None), "right"),
            markup.cell(_evidence(row.get("evidence"), passages), "text quiet"),
        ]
    )


def _evidence(evidence: Any, passages: Mapping[int, Passage]) -> str:
    """Return the words of the passage that support a sentence, with the passage's number and title."""
    if not isinstance(evidence, dict) or not isinstance(evidence.get("n"), int):
        return "none"
    n = evidence["n"]
    passage = passages.get(n)
    if passage is None or passage.text is None:
        return f'<span class="n">{n}</span> its text is not kept any more'
    start, end = (evidence.get(name) for name in ("start", "end"))
    words = passage.text[start:end] if isinstance(start, int) and isinstance(end, int) else passage.text[:240]
    return f'<span class="n">{n}</span> {escape(passage.title)}{markup.small(f"“{escape(words)}”")}'


def _removed(row: Mapping[str, Any]) -> str:
    reasons = ", ".join(str(reason) for reason in row.get("reasons") or ())
    return markup.row(
        [
            markup.cell(f"<s>{escape(str(row.get('text', '')))}</s>", "text"),
            markup.cell(markup.chip("taken back", palette.BAD) + markup.small(escape(reasons)), "text"),
            markup.cell("—", "right"),
            markup.cell("none", "text quiet"),
        ]
    )
