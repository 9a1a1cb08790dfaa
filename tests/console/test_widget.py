"""The widget on a page of another site, in a real browser."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp

from console.chat import widget
from pipeline.access.people import People
from pipeline.auth import Keys
from pipeline.events import Answer, Citation, Delta, Event, Failed, Retract, Sources, Started
from pipeline.http.frames import frame
from pipeline.http.middleware import Border
from pipeline.http.origins import Origins
from pipeline.http.streaming import EventStream
from traces.records import Passage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
Shop = tuple[str, list[dict[str, str]]]
HOSTILE = "<img src=x onerror=alert(1)> [1]"
PASSAGE = Passage(
    turn_id="t", rank=1, n=1, chunk_id="c1", document_id="d1", title="Oven", url="javascript:alert(1)",
    text="Turn the <b>left</b> knob.",
)  # fmt: skip


@contextmanager
def served(app: ASGIApp, host: str) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://{host}:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


async def events(question: str) -> AsyncGenerator[Event]:
    if question == "fail":
        yield Failed("shed", "Too many questions are being answered right now.", None, 3.0)
        return
    yield Started("t", "conversation-1")
    yield Sources((PASSAGE,))
    yield Delta("1. First draft [1].")
    yield Retract("", "leak")
    yield Delta(f"1. Turn the **left** of *it* knob {HOSTILE}\n2. Wait.")
    text = f"1. Turn the **left** of *it* knob {HOSTILE}\n2. Wait."
    yield Answer(
        "t", "conversation-1", "answered", text, (Citation(1, "c1", "d1", "Oven", ""),), (PASSAGE,), {},
        None, None, None, notice="Only a part of the search worked for this answer.",
    )  # fmt: skip


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    """Two sites: ours, and a shop that loads the widget; yields the shop's address and what was asked."""
    asked: list[dict[str, str]] = []
    ours, theirs = FastAPI(), FastAPI()
    widget.serve(ours)

    @ours.post("/api/chat")
    async def chat(request: Request) -> Response:
        body = await request.json()
        asked.append({**body, "cookie": request.headers.get("cookie", "")})
        return EventStream(events(body["question"]), frame)

    @ours.post("/api/feedback")
    async def feedback(request: Request) -> Response:
        asked.append(await request.json())
        return Response("{}")

    with ExitStack() as stack:
        their_address = stack.enter_context(served(theirs, "localhost"))
        ours.add_middleware(
            Border, body_bytes=10_000, people=People(None, Keys("")), origins=Origins([their_address])
        )
        our_address = stack.enter_context(served(ours, "127.0.0.1"))

        @theirs.get("/")
        async def page() -> Response:
            tag = f'<script src="{our_address}/widget.js" data-greeting="Guten Tag!" async></script>'
            return HTMLResponse(f'<!doctype html><html lang="de"><title>Laden</title>{tag}')

        yield their_address, asked


@pytest.fixture
def page(browser: Browser, shop: Shop) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1000, "height": 760})
    page = context.new_page()
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    page.goto(shop[0])
    page.get_by_role("button", name="Chat öffnen").click()
    yield page
    assert context.cookies() == []
    context.close()


def ask(page: Page, question: str) -> None:
    page.get_by_role("textbox", name="Ihre Frage").fill(question)
    page.keyboard.press("Enter")


def test_a_visitor_asks_checks_a_source_and_thanks(page: Page, shop: Shop) -> None:
    assert page.get_by_text("Guten Tag!").is_visible()
    ask(page, "How do I start it?")
    page.locator(".thumbs").wait_for()
    told = page.locator(".told")
    assert told.locator("li").count() == 2
    assert told.locator("strong").inner_text() == "left"
    assert told.locator("em").inner_text() == "it"
    assert told.locator("img").count() == 0
    assert "First draft" not in told.inner_text()
    assert page.get_by_text("Only a part of the search").first.is_visible()
    page.get_by_role("button", name="Quelle 1").click()
    assert page.get_by_text("Turn the <b>left</b> knob.").is_visible()
    assert page.locator("details a").count() == 0  # a source without a web address is no link
    page.get_by_role("button", name="Hilfreich", exact=True).click()
    page.locator(".thumbs").get_by_text("Danke.").wait_for()
    assert shop[1][-1] == {"turn_id": "t", "value": 1}
    ask(page, "And then?")
    page.locator(".thumbs").nth(1).wait_for()
    assert shop[1][-1]["conversation_id"] == "conversation-1"
    assert shop[1][-1]["cookie"] == ""


def test_a_refusal_is_said_and_the_keyboard_closes(page: Page) -> None:
    ask(page, "fail")
    page.locator(".wrong").get_by_text("Too many questions").wait_for()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0
    assert page.evaluate("document.activeElement.shadowRoot.activeElement.ariaLabel") == "Chat öffnen"


def test_the_script_is_small_and_loads_nothing_else() -> None:
    script = (widget.ASSETS / "widget.js").read_text()
    assert len(script.encode()) <= 60_000
    assert "innerHTML" not in script
