"""The chat page: Gradio's Blocks, their layout and what each control does."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr
import gradio.themes as themes
from fastapi import FastAPI
from markupsafe import Markup
from starlette.middleware import Middleware

from console.chat import edge, history, markup, sources, thread, widget
from console.chat.talk import Reader, Talk, View
from pipeline.build import SAMPLE_KB
from pipeline.settings import Settings

ASSETS = Path(__file__).parent / "assets"
NAME = "Answerdeck"
PURPOSE = "Answers from your documents, with their sources"
EXAMPLES = (
    "How do I add my own documents?",
    "Which file formats can be read?",
    "How do I set a fallback model?",
    "What does recall@5 mean?",
)
_FINE_PRINT = Markup(
    '<p class="fine-print">Answers can be wrong: check the sources. Do not share passwords.</p>'
)
# Hands clicks and forms of server-made HTML to Python; the names are the events to listen for.
_REGION_JS = """
const events = ['ask', 'retry', 'undo', 'edit', 'rate', 'comment', 'dismiss', 'show', 'open',
  'remove', 'fresh'];
element.addEventListener('click', (event) => {
  const control = event.target.closest('button[data-do], a[data-do]');
  if (!control || !events.includes(control.dataset.do)) return;
  event.preventDefault();
  trigger(control.dataset.do, { ...control.dataset });
});
element.addEventListener('submit', (event) => {
  const form = event.target.closest('form[data-do]');
  if (!form) return;
  event.preventDefault();
  const fields = new FormData(form);
  trigger(form.dataset.do, { ...form.dataset, text: fields.get('text') || '',
    comment: fields.get('comment') || '', tags: fields.getAll('tags') });
});
watch('value', () => window.answerdeck && window.answerdeck.drawn(element));
"""
_TAKE_JS = "(text) => window.answerdeck.take(text)"
_WHERE_JS = "() => [new URLSearchParams(location.search).get('c') || '']"


def mount(app: FastAPI, pipeline: Any, settings: Settings) -> FastAPI:
    """Mount the chat page at `/`; routes the application has already stay reachable."""
    widget.serve(app)
    examples = EXAMPLES if settings.kb == SAMPLE_KB else ()
    demo = Page(Talk(pipeline, examples), settings.server.console_port, examples).blocks()
    demo.max_threads = 400  # Gradio runs at most this many events at once
    demo.queue(default_concurrency_limit=None, max_size=500, api_open=False)
    app.user_middleware.append(Middleware(edge.Edge))  # inside the API's own border, not around it
    return gr.mount_gradio_app(
        app,
        demo,
        path="/",
        theme=_theme(),
        head=f"<style>{(ASSETS / 'chat.css').read_text()}</style>",  # css= would prefix every selector
        js=(ASSETS / "chat.js").read_text(),
        favicon_path=str(ASSETS / "favicon.png"),
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
        max_file_size=1,
        app_kwargs={"openapi_url": None, "docs_url": None, "redoc_url": None},
    )


class Page:
    """Lays the page out and connects its controls to the talk."""

    def __init__(self, talk: Talk, console_port: int, examples: Sequence[str]) -> None:
        self._talk = talk
        self._examples = examples
        self._console_port = console_port

    def blocks(self) -> gr.Blocks:
        with gr.Blocks(title=NAME, fill_height=True, fill_width=True, analytics_enabled=False) as demo:
            where = gr.Textbox(visible="hidden", label="Conversation")
            pending = gr.Textbox(visible="hidden", label="Question under way")
            top = _region(_header(), "top")
            with gr.Row(elem_id="desk"):
                drawer = _region(history.drawer([], "", datetime.now(UTC).date()), "drawer")
                with gr.Column(elem_id="middle"):
                    with gr.Column(elem_id="thread"):
                        past = _region(thread.welcome(self._examples), "past")
                        live = _region("", "live")
                    with gr.Row(elem_id="composer"):
                        box = gr.Textbox(
                            label="Your question",
                            show_label=False,
                            container=False,
                            placeholder="Ask a question…",
                            lines=1,
                            max_lines=8,
                            autofocus=True,
                            elem_id="box",
                            scale=1,
                        )
                        send = gr.Button("Send", variant="primary", elem_id="send", scale=0, min_width=84)
                        stop = gr.Button("Stop", elem_id="stop", scale=0, min_width=84)
                    gr.HTML(_FINE_PRINT, apply_default_css=False)
                panel = _region(sources.panel(None), "sources")
            page = [past, live, panel, where, drawer]
            taken = gr.on([box.submit, send.click], None, box, [pending, box], js=_TAKE_JS, queue=False)
            _on(taken.then, self._ask, [where, pending], page)
            _on(stop.click, self._stop, None, None, queue=False)
            _on(past.ask, self._ask_example, where, page)
            for region in (past, live):
                _on(region.retry, self._again, where, page)
                _on(region.edit, self._again, where, page)
                _on(region.undo, self._undo, where, [*page, box])
                _on(region.rate, self._rate, where, page)
                _on(region.comment, self._comment, where, page)
                _on(region.dismiss, self._dismiss, where, page)
                _on(region.show, self._show, where, page)
            _on(drawer.open, self._open, None, page)
            _on(drawer.remove, self._remove, where, page)
            for region in (drawer, top):
                _on(region.fresh, self._fresh, None, page)
            _on(demo.load, self._load, where, page, js=_WHERE_JS)
        return demo

    async def _ask(self, where: str, text: str, request: gr.Request) -> AsyncIterator[View]:
        async for view in self._talk.ask(self._reader(request), where or "", text or ""):
            yield _drawn(view)

    async def _ask_example(self, where: str, request: gr.Request, event: gr.EventData) -> AsyncIterator[View]:
        async for view in self._talk.ask(self._reader(request), where or "", _said(event, "text")):
            yield _drawn(view)

    async def _again(self, where: str, request: gr.Request, event: gr.EventData) -> AsyncIterator[View]:
        turn_id, text = _said(event, "turn"), _said(event, "text")
        async for view in self._talk.again(self._reader(request), where or "", turn_id, text):
            yield _drawn(view)

    async def _stop(self, request: gr.Request) -> None:
        self._talk.stop(self._reader(request))

    async def _undo(self, where: str, request: gr.Request, event: gr.EventData) -> tuple[Any, ...]:
        view, question = self._talk.undo(self._reader(request), where or "", _said(event, "turn"))
        return (*_drawn(view), question)

    async def _rate(self, where: str, request: gr.Request, event: gr.EventData) -> View:
        turn_id, value = _said(event, "turn"), _said(event, "value")
        return _drawn(await self._talk.rate(self._reader(request), where or "", turn_id, value))

    async def _comment(self, where: str, request: gr.Request, event: gr.EventData) -> View:
        tags = [tag for tag in event._data.get("tags", []) if isinstance(tag, str)]
        turn_id, comment = _said(event, "turn"), _said(event, "comment")
        return _drawn(await self._talk.comment(self._reader(request), where or "", turn_id, tags, comment))

    async def _dismiss(self, where: str, request: gr.Request, event: gr.EventData) -> View:
        return _drawn(self._talk.dismiss(self._reader(request), where or "", _said(event, "turn")))

    async def _show(self, where: str, request: gr.Request, event: gr.EventData) -> View:
        return _drawn(self._talk.show(self._reader(request), where or "", _said(event, "turn")))

    async def _open(self, request: gr.Request, event: gr.EventData) -> View:
        return _drawn(self._talk.open(self._reader(request), _said(event, "id")))

    async def _remove(self, where: str, request: gr.Request, event: gr.EventData) -> View:
        return _drawn(self._talk.remove(self._reader(request), _said(event, "id"), where or ""))

    async def _fresh(self, request: gr.Request) -> View:
        return _drawn(self._talk.open(self._reader(request), ""))

    async def _load(self, where: str, request: gr.Request) -> View:
        return _drawn(self._talk.open(self._reader(request), where or ""))

    def _reader(self, request: gr.Request) -> Reader:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or "127.0.0.1"
        host = f"[{host}]" if ":" in host else host
        tab, console = request.session_hash or "", f"http://{host}:{self._console_port}"
        person = edge.person(request)
        if person is None:  # nobody signs in: only this machine can connect, and may look inside
            return Reader(edge.guest(request), tab, None, console)
        return Reader(person.name, tab, person.name, console if person.may("viewer") else None)


def _on(event: Callable[..., Any], act: Callable[..., Any], inputs: Any, outputs: Any, **more: Any) -> None:
    event(act, inputs, outputs, show_progress="hidden", api_visibility="private", **more)


def _region(value: str, name: str) -> gr.HTML:
    return gr.HTML(value, js_on_load=_REGION_JS, apply_default_css=False, elem_id=name)


def _drawn(view: View) -> Any:
    """Return the view for Gradio: parts that stay as they are become skips."""
    return tuple(gr.skip() if part is None else part for part in view)


def _said(event: gr.EventData, name: str) -> str:
    """Return a text field of a browser's event; anything else it sends counts as empty."""
    value = event._data.get(name, "") if isinstance(event._data, dict) else ""
    return value if isinstance(value, str) else ""


def _header() -> Markup:
    logo = Markup((ASSETS / "logo.svg").read_text())
    return markup.render("header.html", logo=logo, name=NAME, purpose=PURPOSE)


def _theme() -> themes.Base:
    def local(name: str) -> themes.LocalFont:
        return themes.LocalFont(name, weights=(400, 700))  # the shipped SemiBold files lack letters

    return themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["-apple-system", "Segoe UI", local("IBM Plex Sans"), "sans-serif"],
        font_mono=["ui-monospace", local("IBM Plex Mono"), "monospace"],
    )
