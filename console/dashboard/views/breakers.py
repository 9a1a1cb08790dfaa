"""Breakers: how each dependency of the running chat stands, its history, and a switch to isolate it."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from html import escape
from typing import Any

import streamlit as st

from console import format
from console.dashboard import boundary, data, markup, notices, visitor
from console.dashboard.data import Problem
from pipeline import build
from pipeline.breaker import BreakerReport
from pipeline.http.middleware import COOKIE

WATCH_SECONDS = 3
COLOURS = {"closed": "green", "half_open": "yellow", "open": "red", "isolated": "gray"}
WORDS = {"closed": "closed", "half_open": "half open", "open": "open", "isolated": "isolated"}


def page() -> None:
    """Draw the breakers of the running chat, drawn again every few seconds, and the kept changes."""
    st.title("Breakers", anchor=False)
    st.caption(
        "A breaker stops calls to a dependency that keeps failing; the chat answers without it meanwhile."
        " An isolated one gets no calls until it is released."
    )
    with notices.problems():
        st.fragment(boundary.guarded(_state, "breakers"), run_every=WATCH_SECONDS)()


def _state() -> None:
    with notices.problems():
        for body in _ask("")["breakers"]:
            _breaker(BreakerReport.of(body))
    st.header("History", anchor=False)
    _history()


def _breaker(report: BreakerReport) -> None:
    """Draw one breaker and its button."""
    name, state = report.name, report.state
    line = st.container(border=True, horizontal=True, vertical_alignment="center", key=f"breaker-{name}")
    line.badge(WORDS[state], color=COLOURS[state])  # type: ignore[arg-type]  # one of Streamlit's colours
    line.markdown(f"**{markup_free(name)}**", width=260)
    calls = f"{report.calls} calls, {report.failures} failed, {report.slow} slow in the last 30 s"
    rest = report.retry_in_seconds
    line.caption(calls if rest is None else f"{calls}; tried again in {rest:.0f} s", width="stretch")
    isolated = state == "isolated"
    label, icon = ("Release", "lock_open") if isolated else ("Isolate", "block")
    if line.button(label, key=f"switch-{name}", icon=f":material/{icon}:"):
        visitor.need("approver", "isolate or release")
        _ask(name, isolate=not isolated)
        st.rerun(scope="fragment")


def _ask(name: str, *, isolate: bool | None = None) -> dict[str, Any]:
    """Ask the running chat on this machine; raises Problem when it cannot be reached or says no."""
    settings = data.settings()
    path = "/api/breakers" + (f"/{urllib.parse.quote(name, safe='')}" if name else "")
    request = urllib.request.Request(f"http://127.0.0.1:{settings.server.port}{path}")
    if token := visitor.token():  # the chat asks who this is, too
        request.add_header("Cookie", f"{COOKIE}={token}")
    if isolate is not None:
        request.data = json.dumps({"isolate": isolate}).encode()
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=3) as reply:
            return json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            what = "Who you are decides what you may switch." if error.code in (401, 403) else "It said no."
        raise Problem(f"The chat answered {error.code}. {what}", "Sign in as an approver.") from None
    except (OSError, ValueError):
        raise Problem(
            f"The chat does not answer on port {settings.server.port}.",
            "Start it with `answerdeck up`; the changes kept below are there without it.",
        ) from None


def _history() -> None:
    """Draw the changes kept on disk, the newest first."""
    changes = build.breaker_changes(data.settings())
    if not changes:
        notices.note(
            "No changes yet", "Every breaker has been closed since the first start.", key="no-changes"
        )
        return
    now = datetime.now(UTC)
    rows = [
        markup.row(
            [
                markup.cell(escape(format.ago(change.at, now))),
                markup.cell(escape(change.name)),
                markup.cell(escape(f"{WORDS[change.old]} → {WORDS[change.new]}")),
                markup.cell(escape(change.reason)),
            ]
        )
        for change in changes
    ]
    markup.show(markup.table(["When", "Breaker", "Change", "Why"], rows), key="breaker-history")


def markup_free(text: str) -> str:
    """Return a name as Markdown shows it literally."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>()#+-.!|~$:" else letter for letter in text)
