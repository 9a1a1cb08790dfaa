"""Playground: a past turn asked again under another prompt or model, both answers side by side."""

from __future__ import annotations

import json
import subprocess
import sys
from html import escape

import streamlit as st

from console import format
from console.dashboard import data, jobs, markup, notices
from evalsets.release.playground import PlayedTurn, ReplayedTurn

COMMAND = (sys.executable, "-m", "console.cli", "replay")
SECONDS = 120
PASSAGES = {"same": "The same passages", "fresh": "Search anew"}


def page() -> None:
    """Draw the choice, ask on a press, and show what was said then and now."""
    st.title("Playground", anchor=False)
    with notices.problems():
        with st.container(border=True, horizontal=True, vertical_alignment="bottom", gap="small"):
            turn = st.text_input(
                "Turn", key="turn", bind="query-params", width=330, placeholder="its id, from the Turns page"
            )
            prompt = st.selectbox("Prompt", data.prompts(), key="with_prompt", bind="query-params", width=140)
            model = st.selectbox(
                "Model",
                data.known_models(),
                key="with_model",
                bind="query-params",
                accept_new_options=True,
                width=240,
            )
            passages = st.selectbox(
                "Passages",
                list(PASSAGES),
                key="passages",
                bind="query-params",
                format_func=PASSAGES.__getitem__,
                width=190,
            )
            pressed = st.button("Ask again", type="primary", icon=":material/replay:", disabled=not turn)
        st.caption(
            "Asks the model once, at its price. Recorded as a replay: in no chart, in no conversation."
        )
        if pressed and turn:
            with st.spinner("Asking …"):
                st.session_state["played"] = _ask(turn.strip(), prompt, model, passages == "fresh")
        played = st.session_state.get("played")
        if played is not None:
            _show(played)


def _ask(turn: str, prompt: str | None, model: str | None, fresh: bool) -> ReplayedTurn:
    """Ask in a process of its own: models and knowledge bases are not loaded into the console."""
    source_turns = data.find_turns(turn)
    if len(source_turns) != 1:
        history = "no turn" if not source_turns else f"{len(source_turns)} turns"
        raise data.Problem(f"{history} with this id: {turn!r}", "Copy the whole id from the Turns page.")
    options = [*(["--prompt", prompt] if prompt else []), *(["--model", model] if model else [])]
    options += ["--fresh"] if fresh else []
    try:
        done = jobs.ended(
            *COMMAND, "--turn", source_turns[0], "--json", "--yes", *options, seconds=SECONDS
        )  # the press is the consent
    except subprocess.TimeoutExpired:
        raise data.Problem(
            f"The answer took longer than {SECONDS} seconds.", "Try again, or choose another model."
        ) from None
    if done.returncode:
        raise data.Problem(
            done.stderr.strip()[-400:] or "It ended without a word.", "Change the choice above."
        )
    return ReplayedTurn.read(json.loads(done.stdout))


def _show(played: ReplayedTurn) -> None:
    sides = _side("As recorded", played.before) + _side("Now", played.after)
    markup.show(f'<div class="two even">{sides}</div>', key="played")


def _side(title: str, answer: PlayedTurn) -> str:
    facts = [
        ("Groundedness", answer.support_reason),
        (
            "Tokens in, out",
            f"{format.count(answer.input_tokens)}, {format.count(answer.output_tokens)}",
        ),
        ("Cost", format.usd(answer.cost_usd)),
        (
            "First word, whole",
            f"{format.seconds(answer.first_token_seconds)}, {format.seconds(answer.seconds)}",
        ),
        ("Prompt", f"{answer.prompt or '—'} · {answer.prompt_fingerprint or '—'}"),
        ("Model", answer.model),
        ("Index version", answer.index_version),
        ("Passages", "; ".join(f"[{row.n}] {row.title}" for row in answer.placed) or None),
    ]
    opens = markup.link("open the turn", markup.address("turns", turn=answer.turn_id))
    return (
        f'<div class="card"><h2>{title} {markup.outcome_chip(answer.outcome)}</h2>'
        f'<p class="said">{escape(answer.answer or "—")}</p>{markup.pairs(facts)}<p>{opens}</p></div>'
    )
