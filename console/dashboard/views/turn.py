"""One turn, whole: its facts, its steps in time, its prompt, its passages, its versions, its scores."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import Any

import streamlit as st

from console import format
from console.dashboard import (
    bases,
    clock,
    data,
    jobs,
    markup,
    notices,
    palette,
    sentences,
    turn_parts,
    waterfall,
)
from console.dashboard.views import case
from traces.records import Score, Trace, Turn


def page(turn_id: str) -> None:
    """Draw the turn with this id, or say that there is none."""
    turn_read = data.read_turn(turn_id)
    back = markup.link(
        "← All turns", markup.address("turns", **st.session_state.get("turns_list", {})), "back"
    )
    if turn_read is None:
        markup.show(back, key="back")
        _not_found(turn_id)
        return
    trace, conversation, models = turn_read
    colours = palette.model_colours(models)
    markup.show(
        f"<p>{back}</p>{_head(trace.turn, colours)}{_around(trace.turn, conversation)}"
        f"{markup.facts(_facts(trace))}{waterfall.render(trace)}",
        key=f"turn-{turn_id}",
    )
    case.button(trace)
    _tabs(trace)
    _blame(trace)
    _download(trace)


def _blame(trace: Trace) -> None:
    """Let a person name the document that should have been cited, and say where the turn lost it."""
    with st.expander("Where was a passage lost?", icon=":material/troubleshoot:"):
        titles: dict[str, str] = {}
        for item in sorted(trace.passages, key=lambda passage: passage.rank):
            titles.setdefault(item.document_id, f"{item.rank}. {item.title or item.document_id}")
        among_all = st.toggle("Choose among all documents", key=f"blame-all-{trace.turn.turn_id}")
        listed = bases.titles(trace.turn.kb) if among_all and trace.turn.kb is not None else {}
        titles |= {key: title for key, title in listed.items() if key not in titles}
        chunk_id = st.selectbox(
            "The document that answers the question",
            list(titles),
            index=None,
            format_func=lambda key: str(titles.get(str(key), key)),
            accept_new_options=not listed,  # else a part of a title would count as an id
            placeholder="type part of a title, or the id of a document or chunk",
            key=f"blame-{trace.turn.turn_id}",
        )
        if chunk_id and st.button("Where was it lost?", icon=":material/search:"):
            with st.spinner("Looking …"):
                result, problem = jobs.blame(trace.turn.turn_id, chunk_id)
            text = (
                f"**{notices.plain(result)}** {notices.plain(problem)}" if result else notices.plain(problem)
            )
            st.info(text) if result else st.error(text)


def _not_found(turn_id: str) -> None:
    notices.note(
        "No such turn",
        f'<span class="mono">{escape(turn_id[:64])}</span> is not in the ledger. It may be a typing error, '
        "or the turn was erased; a turn asked just now is here within a second or two.",
        key="no-such-turn",
    )


def _head(turn: Turn, colours: dict[str, str]) -> str:
    chips = [markup.outcome_chip(turn.outcome, turn.error_class)]
    if turn.error_class:
        chips.append(markup.chip(turn.error_class, palette.BAD, "error class"))
    if turn.model:
        chips.append(
            markup.chip(format.model(turn.model), colours.get(turn.model, palette.NEUTRAL), turn.model)
        )
    if turn.prompt:
        chips.append(markup.chip(turn.prompt, palette.NEUTRAL, "prompt"))
    title = f"Turn {format.short_id(turn.turn_id)}"
    return f'<div class="head"><h1>{title}</h1><div class="chips">{"".join(chips)}</div></div>'


def _around(turn: Turn, ids: list[str]) -> str:
    """Return where the turn stands: when, by whom, and its neighbours in the conversation."""
    parts = [
        f"{clock.named(turn.started_at)} ({format.ago(turn.started_at, datetime.now(UTC))})",
        f"user {escape(turn.user_id)}",
        f"by {escape(turn.door)}",
        f'<span class="mono">{escape(turn.turn_id)}</span>',
        markup.link("open in Playground →", markup.address("playground", turn=turn.turn_id)),
    ]
    if turn.turn_id in ids and len(ids) > 1:
        at = ids.index(turn.turn_id)
        parts.append(f"turn {at + 1} of {len(ids)}{'+' if len(ids) == 200 else ''} in the conversation")
        if at > 0:
            parts.append(markup.link("← previous", markup.address("turns", turn=ids[at - 1])))
        if at + 1 < len(ids):
            parts.append(markup.link("next →", markup.address("turns", turn=ids[at + 1])))
    return f'<div class="around">{"".join(f"<span>{part}</span>" for part in parts)}</div>'


def _facts(trace: Trace) -> list[tuple[str, str]]:
    turn = trace.turn
    tokens = "—"
    if turn.input_tokens is not None:
        tokens = f"{format.count(turn.input_tokens)} / {format.count(turn.output_tokens)}"
    priced = "unpriced" if turn.cost_usd is None and turn.attempts else format.usd(turn.cost_usd)
    used = "—" if turn.passages is None else f"{turn.passages} of {len(trace.passages)}"
    ratings = [score.value for score in trace.scores if score.name == "feedback" and score.value is not None]
    rating = "—" if not ratings else "▲ up" if ratings[-1] > 0 else "▼ down"
    return [
        ("First token", format.seconds(turn.first_token_seconds)),
        ("Total", format.seconds(turn.seconds)),
        ("Cost", priced),
        ("Tokens in / out", tokens),
        ("Passages used", used),
        ("Rating", rating),
    ]


def _tabs(trace: Trace) -> None:
    turn, payload = trace.turn, trace.payload
    names = ["Answer", "Prompt", "Raw response", f"Passages ({len(trace.passages)})", "Versions"]
    names += [f"Usages ({len(trace.usages)})", f"Scores ({len(trace.scores)})"]
    contents = [
        turn_parts.answer(trace) + sentences.checks(trace) + sentences.memory(trace),
        turn_parts.block(payload.prompt, _why_no_payload(turn, "prompt")),
        turn_parts.block(payload.raw_response, _why_no_payload(turn, "response")),
        turn_parts.passages(trace),
        markup.pairs(_versions(turn)),
        turn_parts.usages(trace.usages),
        _scores(trace.scores),
    ]
    for number, (tab, html) in enumerate(
        zip(st.tabs(names, key="tab", bind="query-params"), contents, strict=True)
    ):
        with tab:
            markup.show(html, key=f"tab-{number}-{turn.turn_id}")


def _why_no_payload(turn: Turn, what: str) -> str:
    if not turn.attempts:
        return f"No model was called in this turn, so there is no {what}."
    return f"The {what} is gone: texts are kept for a shorter time than turns (traces.payload_days)."


def _versions(turn: Turn) -> list[tuple[str, Any]]:
    prompt = " · ".join(part for part in (turn.prompt, turn.prompt_fingerprint) if part)
    return [
        ("Prompt and fingerprint", prompt or None),
        ("Model that answered", turn.model),
        ("Model asked first", turn.model_wanted),
        ("Route", turn.route),
        ("Knowledge base", turn.kb),
        ("Index version", turn.index_version),
        ("Embedder", turn.embedder),
        ("Guardrails", turn.guardrails),
        ("Code", turn.code_version),
        ("Refused by rule", turn.refusal),
        ("Stop reason", turn.stop_reason),
        ("Model calls", turn.attempts),
        ("Best passage's cosine", format.score(turn.top_score)),
        ("Conversation", turn.conversation_id),
        ("Eval run and case", " · ".join(part for part in (turn.run_id, turn.case_id) if part) or None),
    ]


def _scores(scores: tuple[Score, ...]) -> str:
    if not scores:
        return '<p class="quiet">Nobody and nothing has scored this turn yet.</p>'
    heads = ["Score", "Value ", "Source", "By", "Reason", clock.head("When")]
    return markup.table(heads, [_score(score) for score in scores])


def _score(score: Score) -> str:
    value = "failed" if score.failed else format.score(score.value)
    why = " · ".join(part for part in (score.reason, score.tags) if part)
    return markup.row(
        [
            markup.cell(escape(score.name)),
            markup.cell(f"<b>{value}</b>", "right"),
            markup.cell(escape(score.source)),
            markup.cell(escape(score.scorer or score.user_id or "—"), "quiet"),
            markup.cell(escape(why or "—"), "text"),
            markup.cell(clock.moment(score.created_at), "quiet"),
        ]
    )


def _download(trace: Trace) -> None:
    st.download_button(
        "Download as JSON",
        data=lambda: turn_parts.json_of(trace),
        file_name=f"turn-{trace.turn.turn_id}.json",
        mime="application/json",
        on_click="ignore",
        icon=":material/download:",
    )
