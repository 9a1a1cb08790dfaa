"""The chat page: Gradio's Blocks, their layout and what each control does."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from markupsafe import Markup
from starlette.middleware import Middleware

from console.chat import early, edge, history, links, markup, own, sources, thread, widget, words
from console.chat.brand import Brand, brand
from console.chat.controls import gr, themes
from console.chat.reader import Reader
from console.chat.suggest import Examples
from console.chat.talk import Talk, View
from pipeline.build import SAMPLE_KB
from pipeline.settings import Settings
from pipeline.text.languages import SPOKEN

ASSETS = Path(__file__).parent / "assets"
EXAMPLES = (
    "How do I add my own documents?",
    "Which file formats can be read?",
    "How do I set a fallback model?",
    "What does recall@5 mean?",
)
# Hands clicks and forms of server-made HTML to Python; the names are the events to listen for.
_REGION_JS = """
const events = ['ask', 'retry', 'undo', 'edit', 'rate', 'comment', 'dismiss', 'show', 'open',
  'remove', 'fresh', 'search', 'rename', 'pin', 'link', 'unlink', 'flip', 'forget', 'contact', 'choose',
  'documents', 'discard', 'resume'];
element.addEventListener('click', (event) => {
  const control = event.target.closest('button[data-do], a[data-do]');
  if (!control || !events.includes(control.dataset.do)) return;
  event.preventDefault();
  trigger(control.dataset.do, { ...control.dataset, key: window.answerdeck?.key() || '' });
});
element.addEventListener('submit', (event) => {
  const form = event.target.closest('form[data-do]');
  if (!form) return;
  event.preventDefault();
  const fields = new FormData(form);
  trigger(form.dataset.do, { ...form.dataset, text: fields.get('text') || '',
    comment: fields.get('comment') || '', tags: fields.getAll('tags') });
});
element.addEventListener('change', (event) => {
  const list = event.target.closest('select[data-do]');
  if (list) trigger(list.dataset.do, { ...list.dataset, text: list.value });
});
watch('value', () => window.answerdeck && window.answerdeck.drawn(element));
"""
QUEUE_SECONDS = 0.01
EARLY = ("first.js", "stream.js", "forms.js")
_TAKE_JS = "(text) => window.answerdeck.take(text)"  # the script runs before Gradio draws the box
_WHERE_JS = "() => [new URLSearchParams(location.search).get('c') || '']"


def wait_calmly(demo: gr.Blocks) -> None:
    """Give a page its queue, which looks for questions so often: each millisecond, it took 6 % of a core."""
    demo.queue(default_concurrency_limit=None, max_size=500, api_open=False)
    demo._queue.sleep_when_free = QUEUE_SECONDS
    demo._queue.progress_update_sleep_when_free = 1.0  # we draw no progress of Gradio's


def mount(app: FastAPI, pipeline: Any, settings: Settings) -> FastAPI:
    """Mount the chat page at `/`; routes the application has already stay reachable."""
    widget.serve(app)
    look = brand(settings.chat)
    links.serve(app, pipeline.memory, look)
    own.serve(app, pipeline.spaces, look)
    configured = look.examples or (EXAMPLES if settings.kb == SAMPLE_KB else ())
    talk = Talk(pipeline, configured, greeting=look.greeting, webhook=settings.chat.contact_webhook)
    examples = Examples(pipeline.knowledge, settings.kb, configured)
    console = settings.alerts.console_url or settings.server.console_port
    demo = ChatPage(talk, console, look, examples).blocks()
    demo.max_threads = 400  # Gradio runs at most this many events at once
    wait_calmly(demo)
    style = (ASSETS / "chat.css").read_text() + look.style  # css= would prefix every selector
    script = "".join((ASSETS / name).read_text() for name in EARLY)  # before Gradio's client takes a step
    about = f'data-tongue="{look.language}" data-spoken="{" ".join(SPOKEN)}"'
    app.user_middleware.append(Middleware(edge.Edge))  # inside the API's own border, not around it
    return gr.mount_gradio_app(
        app,
        demo,
        path="/",
        root_path=settings.server.prefix or None,
        theme=_theme(),
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
        app_kwargs={
            "openapi_url": None,
            "docs_url": None,
            "redoc_url": None,
            "middleware": [
                Middleware(early.Early, f"<style>{style}</style><script {about}>{script}</script>")
            ],
        },
    )


class ChatPage:
    """Lays the page out and connects its controls to the talk."""

    def __init__(self, talk: Talk, console: str | int, look: Brand, examples: Examples) -> None:
        self._talk = talk
        self._look = look
        self._examples = examples
        self._console = console  # its address, or its port on the host of this page

    def blocks(self) -> gr.Blocks:
        with gr.Blocks(
            title=self._look.name, fill_height=True, fill_width=True, analytics_enabled=False
        ) as demo:
            where = gr.Textbox(visible="hidden", label="Conversation")
            pending = gr.Textbox(visible="hidden", label="Question under way")
            key = gr.Textbox(visible="hidden", label="Its key, made by the browser")
            top = _region(self._header("en"), "top")
            with gr.Row(elem_id="desk"):
                drawer = _region(history.drawer([], "", datetime.now(UTC).date()), "drawer")
                with gr.Column(elem_id="middle"):
                    with gr.Column(elem_id="thread"):
                        past = _region(thread.welcome((), self._look.greeting), "past")
                        live = _region("", "live")
                    choice = _region("", "choice")
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
                    fine = gr.HTML(self._fine_print("en"), apply_default_css=False)
                panel = _region(sources.panel(None), "sources")
            page = [past, live, panel, where, drawer, choice]
            taken = gr.on([box.submit, send.click], None, box, [pending, key, box], js=_TAKE_JS, queue=False)
            _on(taken.then, self._ask, [where, pending, key], page)
            _on(stop.click, self._stop, None, None, queue=False)
            for region in (past, live):
                self._connect(region, where, page, box)
            _on(drawer.open, self._open, None, page)
            _on(drawer.remove, self._remove, where, page)
            for region in (drawer, top):
                _on(region.fresh, self._fresh, None, page)
            _on(top.resume, self._resume, where, page)
            for act in ("search", "rename", "pin", "link", "unlink"):
                _on(getattr(drawer, act), self._listed(act), where, page)
            _on(choice.choose, self._choose, None, None)
            _on(choice.documents, self._documents, where, choice)
            _on(choice.discard, self._discard, where, choice)
            _on(panel.forget, self._forget, where, page)
            _on(demo.load, self._load, where, [*page, top, fine], js=_WHERE_JS)
        return demo

    def _connect(self, region: gr.HTML, where: gr.Textbox, page: list[Any], box: gr.Textbox) -> None:
        """Connect the controls of turns."""
        _on(region.ask, self._ask_example, where, page)
        _on(region.retry, self._again, where, page)
        _on(region.edit, self._again, where, page)
        _on(region.undo, self._undo, where, [*page, box])
        _on(region.rate, self._rate, where, page)
        _on(region.comment, self._comment, where, page)
        _on(region.dismiss, self._dismiss, where, page)
        _on(region.show, self._show, where, page)
        _on(region.flip, self._flip, where, page)
        _on(region.contact, self._contact, where, page)

    async def _ask(self, where: str, text: str, key: str, request: gr.Request) -> AsyncGenerator[View]:
        async for view in _shown(self._talk.ask(self._reader(request), where or "", text or "", key or "")):
            yield view

    async def _ask_example(
        self, where: str, request: gr.Request, event: gr.EventData
    ) -> AsyncGenerator[View]:
        text, key = _said(event, "text"), _said(event, "key")
        async for view in _shown(self._talk.ask(self._reader(request), where or "", text, key)):
            yield view

    async def _again(self, where: str, request: gr.Request, event: gr.EventData) -> AsyncGenerator[View]:
        turn_id, text = _said(event, "turn"), _said(event, "text")
        async for view in _shown(self._talk.again(self._reader(request), where or "", turn_id, text)):
            yield view

    async def _resume(self, where: str, request: gr.Request) -> AsyncGenerator[View]:
        async for view in _shown(self._talk.resume(self._reader(request), where or "")):
            yield view

    async def _stop(self, request: gr.Request) -> None:
        self._talk.stop(self._reader(request))

    async def _undo(self, where: str, request: gr.Request, event: gr.EventData) -> tuple[Any, ...]:
        view, question = await self._talk.undo(self._reader(request), where or "", _said(event, "turn"))
        return (*_drawn(view), question)

    async def _rate(self, where: str, request: gr.Request, event: gr.EventData) -> View:
        turn_id, value = _said(event, "turn"), _said(event, "value")
        return _drawn(await self._talk.rate(self._reader(request), where or "", turn_id, value))

    async def _comment(self, where: str, request: gr.Request, event: gr.EventData) -> View:
        tags = [tag for tag in event._data.get("tags", []) if isinstance(tag, str)]
        turn_id, comment = _said(event, "turn"), _said(event, "comment")
        return _drawn(await self._talk.comment(self._reader(request), where or "", turn_id, tags, comment))

    async def _dismiss(self, where: str, request: gr.Request, event: gr.EventData) -> View:
        return _drawn(await self._talk.dismiss(self._reader(request), where or "", _said(event, "turn")))

    async def _show(self, where: str, request: gr.Request, event: gr.EventData) -> View:
        return _drawn(await self._talk.show(self._reader(request), where or "", _said(event, "turn")))

    async def _open(self, request: gr.Request, event: gr.EventData) -> AsyncGenerator[View]:
        async for view in _shown(self._talk.visit(self._reader(request), _said(event, "id"))):
            yield view

    async def _remove(self, where: str, request: gr.Request, event: gr.EventData) -> View:
        return _drawn(await self._talk.remove(self._reader(request), _said(event, "id"), where or ""))

    async def _choose(self, request: gr.Request, event: gr.EventData) -> None:
        self._talk.choice.choose(self._reader(request), _said(event, "text"))

    async def _documents(self, where: str, request: gr.Request) -> Markup:
        return await self._talk.choice.drawn(self._reader(request), where or "")

    async def _discard(self, where: str, request: gr.Request, event: gr.EventData) -> Markup:
        reader = self._reader(request)
        await self._talk.choice.discard(reader, _said(event, "id"))
        return await self._talk.choice.drawn(reader, where or "")

    async def _fresh(self, request: gr.Request) -> View:
        return _drawn(await self._talk.open(self._reader(request), ""))

    async def _load(self, where: str, request: gr.Request) -> AsyncGenerator[tuple[Any, ...]]:
        await self._examples.refresh()
        self._talk.examples = self._examples.texts
        reader = self._reader(request)
        await self._talk.choice.look(reader)
        words_shown = (self._header(reader.tongue), self._fine_print(reader.tongue))
        if self._talk.begun(reader):  # who asked before the page was ready keeps what came
            yield (*_drawn(View(None, None, None, None, None)), *words_shown)
            return
        async for view in _shown(self._talk.visit(reader, where or "")):
            yield (*view, *words_shown)
            words_shown = (gr.skip(), gr.skip())

    async def _flip(self, where: str, request: gr.Request, event: gr.EventData) -> View:
        return _drawn(await self._talk.flip(self._reader(request), where or "", _said(event, "head")))

    async def _forget(self, where: str, request: gr.Request, event: gr.EventData) -> View:
        turn_id, fact_id = _said(event, "turn"), _said(event, "id")
        return _drawn(await self._talk.forget(self._reader(request), where or "", turn_id, fact_id))

    async def _contact(self, where: str, request: gr.Request, event: gr.EventData) -> View:
        turn_id, value, comment = _said(event, "turn"), _said(event, "value"), _said(event, "comment")
        reader = self._reader(request)
        return _drawn(await self._talk.contact(reader, where or "", turn_id, value, comment))

    def _listed(self, act: str) -> Callable[..., Any]:
        """Return what does one thing with a conversation of the list, and draws the list anew."""

        async def listed(where: str, request: gr.Request, event: gr.EventData) -> View:
            reader, shelf, key = self._reader(request), self._talk.shelf, _said(event, "id")
            link: history.Link | None = None
            if act == "search":
                shelf.search(reader, _said(event, "text"))
            elif act == "rename":
                await shelf.rename(reader, key, _said(event, "text"))
            elif act == "pin":
                await shelf.pin(reader, key, pinned=_said(event, "value") == "yes")
            else:
                link = await (shelf.share(reader, key) if act == "link" else shelf.unshare(reader, key))
            return _drawn(await self._talk.listed(reader, where or "", link))

        return listed

    def _header(self, tongue: str) -> Markup:
        shown = {"brand": self._look, "tongue": tongue, "words": json.dumps(words.scripted(tongue))}
        return markup.render("header.html", **shown)

    def _fine_print(self, tongue: str) -> Markup:
        return markup.render("fine_print.html", disclaimer=self._look.disclaimer, tongue=tongue)

    def _reader(self, request: gr.Request) -> Reader:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or "127.0.0.1"
        host = f"[{host}]" if ":" in host else host
        tongue = links.tongue(request.headers.get("accept-language", ""), self._look)
        tab, console = edge.tab(request), self._console
        if isinstance(console, int):
            console = f"http://{host}:{console}"
        person = edge.person(request)
        if person is None:  # nobody signs in: only this machine can connect, and may look inside
            return Reader(edge.guest(request), tab, None, console, tongue)
        inside = console if person.keeps("viewer") else None
        return Reader(person.name, tab, person.name, inside, tongue, person.workspace)


def _on(event: Callable[..., Any], act: Callable[..., Any], inputs: Any, outputs: Any, **more: Any) -> None:
    event(act, inputs, outputs, show_progress="hidden", api_visibility="private", **more)


def _region(value: str, name: str) -> gr.HTML:
    return gr.HTML(value, js_on_load=_REGION_JS, apply_default_css=False, elem_id=name)


def _drawn(view: View) -> Any:
    """Return the view for Gradio: parts that stay as they are become skips."""
    return tuple(gr.skip() if part is None else part for part in view)


async def _shown(views: AsyncGenerator[View]) -> AsyncGenerator[Any]:
    """Yield views for Gradio; when it leaves, they are left at once too."""
    async with aclosing(views):
        async for view in views:
            yield _drawn(view)


def _said(event: gr.EventData, name: str) -> str:
    """Return a text field of a browser's event; anything else it sends counts as empty."""
    value = event._data.get(name, "") if isinstance(event._data, dict) else ""
    return value if isinstance(value, str) else ""


def _theme() -> themes.Base:
    def local(name: str) -> themes.LocalFont:
        return themes.LocalFont(name, weights=(400, 700))  # the shipped SemiBold files lack letters

    return themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["-apple-system", "Segoe UI", local("IBM Plex Sans"), "sans-serif"],
        font_mono=["ui-monospace", local("IBM Plex Mono"), "monospace"],
    )
