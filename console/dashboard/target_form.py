"""Another chatbot as what an eval asks: its address, how it is asked, and where its reply says what."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from console.dashboard import data, notices
from evalsets.runs import template
from pipeline.errors import ConfigurationError
from traces.ids import uuid7

OURS, OTHER = "This chatbot", "Another chatbot"
OPENAI, OWN = "OpenAI-compatible", "Own JSON"
FOLDER = "console/targets"  # below the data folder
BODY = '{"question": "{{question}}"}'
PLACES = ", ".join(f"{{{{{place}}}}}" for place in template.PLACES)


@dataclass(frozen=True, slots=True)
class TargetRequest:
    """Another chatbot: its address, the model to name to it, and the template's JSON of its own form."""

    url: str
    model: str
    template: str | None


def other() -> bool:
    """Draw the choice between this chatbot and another one; return whether it is another."""
    chosen = st.segmented_control(
        "Who is asked", (OURS, OTHER), default=OURS, required=True, key="asked", bind="query-params"
    )
    return chosen == OTHER


def draw() -> TargetRequest | None:
    """Draw the fields; return what they say, or None while they do not fit."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        url = st.text_input(
            "Address", key="target", bind="query-params", max_chars=500, width=400,
            placeholder="https://bot.example.com/v1",
        ).strip()  # fmt: skip
        model = st.text_input("Model to name", max_chars=200, width=190, placeholder="none").strip()
        form = st.segmented_control(
            "How it is asked",
            (OPENAI, OWN),
            default=OPENAI,
            required=True,
            key="asked_by",
            bind="query-params",
        )
    st.caption(
        f"A key is read from {template.KEY} of the console's environment, never from a field. Its cost "
        "is not known here: no budget stops it. Errors, time-outs and rate limits are counted as such."
    )
    try:
        text = _own(url) if form == OWN else None
        if not url:
            return None
        if text is None:
            template.openai(url, model=model or None, key=False)
        else:
            template.checked(json.loads(text), "The form")
    except (ConfigurationError, ValueError) as error:
        st.error(notices.plain(str(error)), icon=":material/rule:")
        return None
    return TargetRequest(url, model, text)


def _own(url: str) -> str:
    """Draw the fields of a request of one's own; return it as the template's JSON. Raises ValueError."""
    with st.container(horizontal=True, gap="small"):
        body = st.text_area(
            "JSON that is sent", BODY, height=150, max_chars=20_000, help=f"Places: {PLACES}."
        )
        headers = st.text_area(
            "Headers, a JSON object", "{}", height=150, max_chars=5_000,
            help='{"Authorization": "Bearer {{key}}"}, for example.',
        )  # fmt: skip
    with st.container(horizontal=True, gap="small"):
        answer = st.text_input("Answer at", "answer", max_chars=200, width=190, help="data.reply.0.text")
        passages = st.text_input(
            "Passages at",
            "",
            max_chars=200,
            width=190,
            placeholder="none",
            help="A list; each with id and text.",
        )
        names = [
            st.text_input(f"{name.title()} of a passage", name, max_chars=100, width=150)
            for name in ("id", "text")
        ]
    reply = {"answer": answer.strip(), "id": names[0].strip(), "text": names[1].strip()}
    return json.dumps(
        {
            "url": url,
            "headers": _object("Headers", headers),
            "body": _json("JSON that is sent", body),
            "reply": reply | ({"passages": passages.strip()} if passages.strip() else {}),
        },
        ensure_ascii=False,
    )


def _json(name: str, text: str | None) -> object:
    try:
        return json.loads(text or "null")
    except ValueError as error:
        raise ValueError(f"{name}: is no JSON, {error}") from None


def _object(name: str, text: str | None) -> dict[str, str]:
    value = _json(name, text)
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ValueError(f'{name}: must be an object of texts, like {{"X-Key": "{{{{key}}}}"}}')
    return value


def keep(request: TargetRequest) -> Path | None:
    """Keep the template under the data folder for the process that asks; None where none is needed."""
    if request.template is None:
        return None
    folder = data.settings().own.path / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid7()}.json"
    path.write_text(request.template, "utf-8")
    return path
