"""The texts and tables of one turn as HTML: answer with citations, passages, model calls, raw blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from html import escape

from console import format
from console.dashboard import markup, palette
from pipeline.citations import MARKER
from traces.records import Passage, Trace, Usage


def answer(trace: Trace) -> str:
    """Return question, standalone query and answer, beside the passages the model was given."""
    turn = trace.turn
    given = [passage for passage in trace.passages if passage.n is not None]
    parts = ["<h3>Question</h3>", f'<div class="asked">{escape(turn.question)}</div>']
    if turn.standalone and turn.standalone != turn.question:
        parts += [
            "<h3>Searched for (standalone query)</h3>",
            f'<div class="said">{escape(turn.standalone)}</div>',
        ]
    html = cited(turn.answer, given) if turn.answer else '<span class="quiet">No answer was given.</span>'
    parts += ["<h3>Answer</h3>", f'<div class="said">{html}</div>']
    sources = "".join(_source(passage) for passage in sorted(given, key=lambda passage: passage.n or 0))
    side = sources or '<p class="quiet">No passage reached the prompt.</p>'
    return f'<div class="two"><div>{"".join(parts)}</div><div><h3>Passages given</h3>{side}</div></div>'


def cited(text: str, given: Sequence[Passage]) -> str:
    """Return the answer as escaped text, its [n] as links to the passages beside it."""
    titles = {passage.n: passage.title for passage in given}

    def link(match: re.Match[str]) -> str:
        n = int(match[1])
        if n not in titles:
            return match[0]
        return f'<a class="cite" href="#passage-{n}" title="{escape(titles[n])}">{n}</a>'

    return MARKER.sub(link, escape(text))


def block(text: str | None, missing: str) -> str:
    """Return a long text as it is, or why it is missing."""
    if text is None:
        return f'<p class="quiet">{escape(missing)}</p>'
    return f'<pre class="block" tabindex="0">{escape(text)}</pre>'


def passages(trace: Trace) -> str:
    """Return every candidate with its score and rank at each stage; texts open on a click."""
    if not trace.passages:
        return '<p class="quiet">Nothing was retrieved in this turn.</p>'
    rows = [_candidate(passage) for passage in sorted(trace.passages, key=lambda passage: passage.rank)]
    heads = ["Rank ", "Passage", "Vector ", "Full text ", "Fused ", "Rerank ", "In prompt", "Cited"]
    best = "Vector is the cosine, full text is BM25, each with its rank at that stage."
    return f'{markup.table(heads, rows)}<p class="quiet" style="margin-top:8px">{best}</p>'


def usages(calls: Sequence[Usage]) -> str:
    """Return the model calls of a turn with tokens, times and prices."""
    if not calls:
        return '<p class="quiet">No model was called in this turn.</p>'
    heads = [
        "Call ",
        "Purpose",
        "Model",
        "In ",
        "Out ",
        "Cache read ",
        "Cache write ",
        "First token ",
        "Time ",
    ]
    heads += ["Cost ", "Price table", "Stop"]
    return markup.table(heads, [_call(call) for call in calls])


def json_of(trace: Trace) -> str:
    """Return the whole trace as JSON, as it stands in the ledger."""
    return json.dumps(asdict(trace), ensure_ascii=False, indent=2, default=str)


def _source(passage: Passage) -> str:
    mark = markup.chip("cited", palette.GOOD) if passage.cited else ""
    score = f'<span class="quiet">{format.score(passage.vector_score)}</span>'
    title = f'<span class="n">{passage.n}</span><span class="title">{escape(passage.title)}</span>'
    where = f'<p class="mono quiet">{escape(passage.chunk_id)}</p>'
    return (
        f'<details class="source" id="passage-{passage.n}"><summary>{title}{mark}{score}</summary>'
        f'<div class="body">{where}{escape(passage.text or "—")}</div></details>'
    )


def _candidate(passage: Passage) -> str:
    title = f'{escape(passage.title)} <span class="quiet mono">{escape(passage.chunk_id)}</span>'
    if passage.text:
        title = (
            f"<details><summary>{title}</summary>"
            f'<div class="quiet passage">{escape(passage.text)}</div></details>'
        )
    stages = (
        (passage.vector_score, passage.vector_rank),
        (passage.text_score, passage.text_rank),
        (passage.fused_score, passage.fused_rank),
        (passage.rerank_score, None),
    )
    return markup.row(
        [
            markup.cell(str(passage.rank), "right"),
            markup.cell(title, "text"),
            *(markup.cell(_staged(score, rank), "right") for score, rank in stages),
            markup.cell("—" if passage.n is None else f'<span class="n">{passage.n}</span>'),
            markup.cell(markup.chip("✓ cited", palette.GOOD) if passage.cited else "—"),
        ]
    )


def _staged(score: float | None, rank: int | None) -> str:
    if score is None:
        return "—"
    place = "" if rank is None else f' <span class="quiet">#{rank}</span>'
    return f"{format.score(score)}{place}"


def _call(call: Usage) -> str:
    about = "≈" if call.estimated else ""
    tokens = (call.input_tokens, call.output_tokens, call.cache_read_tokens, call.cache_write_tokens)
    numbers = ["—" if number is None else f"{about}{number:,}" for number in tokens]
    numbers += [format.seconds(call.first_token_seconds), format.seconds(call.seconds)]
    numbers.append("unpriced" if call.cost_usd is None else format.usd(call.cost_usd))
    return markup.row(
        [
            markup.cell(str(call.call), "right"),
            markup.cell(escape(call.purpose)),
            markup.cell(escape(call.model)),
            *(markup.cell(number, "right") for number in numbers),
            markup.cell(escape(call.price_version or "—"), "quiet"),
            markup.cell(escape(call.error_class or call.stop_reason or "—")),
        ]
    )
