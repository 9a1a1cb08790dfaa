"""The widget on a page of another site, in a real browser."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, aclosing, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Send

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
    if question == "break":
        yield Delta("It stands in the ")
        raise ConnectionError  # the stream ends without a last event
    yield Sources((PASSAGE,))
    yield Delta("1. First draft [1].")
    yield Retract("", "leak")
    yield Delta(f"1. Turn the **left** of *it* knob {HOSTILE}\n2. Wait.")
    text = f"1. Turn the **left** of *it* knob {HOSTILE}\n2. Wait."
    yield Answer(
        "t", "conversation-1", "answered", text, (Citation(1, "c1", "d1", "Oven", ""),), (PASSAGE,), {},
        None, None, None, notice="Only a part of the search worked for this answer.",
    )  # fmt: skip


class Broken(EventStream):
    """A stream that ends in its midst, as when the server is killed."""

    async def _write(self, send: Send) -> None:
        async with aclosing(self._events) as events:
            with suppress(ConnectionError):
                async for event in events:
                    await self._event(event, send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    """Two sites: ours, and a shop that loads the widget; yields the shop's address and what was asked."""
    asked: list[dict[str, str]] = []
    ours, theirs = FastAPI(), FastAPI()
    widget.serve(ours)

    @ours.post("/api/chat")
    async def chat(request: Request) -> Response:
        body = await request.json()
        again = any(body["client_turn_id"] == before.get("client_turn_id") for before in asked)
        heard = {name: request.headers.get(name, "") for name in ("cookie", "accept-language")}
        asked.append({**body, **heard})
        if body["question"] == "break" and not again:
            return Broken(events("break"), frame)
        if body["question"] == "busy" and not again:
            return Response('{"error": {"message": "Please wait."}}', 429, {"Retry-After": "1"})
        return EventStream(events("again" if again else body["question"]), frame)

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


def ids(shop: Shop, question: str) -> list[str]:
    return [body["client_turn_id"] for body in shop[1] if body.get("question") == question]


def test_a_cut_answer_is_asked_for_again_under_its_own_id(page: Page, shop: Shop) -> None:
    ask(page, "break")
    page.get_by_text("Keine Verbindung. Ihre Frage wird gesendet").first.wait_for()
    assert "It stands in the" in page.locator(".told").inner_text()
    page.get_by_role("button", name="Noch einmal versuchen").click()
    page.locator(".thumbs").wait_for()
    assert len(ids(shop, "break")) == 2 and len(set(ids(shop, "break"))) == 1
    assert page.locator(".asked").count() == 1 and page.locator(".again").count() == 0
    assert "It stands in the" not in page.locator(".told").inner_text()
    assert page.evaluate("document.activeElement.shadowRoot.activeElement.localName") == "textarea"


def test_without_a_connection_a_question_waits_for_it(page: Page, shop: Shop) -> None:
    page.context.set_offline(True)
    ask(page, "Where is the kettle?")
    page.get_by_text("Keine Verbindung. Ihre Frage wird gesendet").first.wait_for()
    assert page.get_by_text("Suche…").count() == 0
    assert ids(shop, "Where is the kettle?") == []
    page.context.set_offline(False)
    page.locator(".thumbs").wait_for()
    assert len(ids(shop, "Where is the kettle?")) == 1
    assert [body["accept-language"] for body in shop[1] if body.get("question")][-1] == "de"


def test_a_refusal_for_a_while_counts_down_and_can_be_tried_again(page: Page, shop: Shop) -> None:
    ask(page, "busy")
    page.get_by_role("button", name="Noch einmal versuchen", exact=True).click()  # once it may be pressed
    page.locator(".thumbs").wait_for()
    assert len(set(ids(shop, "busy"))) == 1


def test_the_next_page_shows_what_was_asked_and_what_was_being_written(page: Page, shop: Shop) -> None:
    ask(page, "How do I start it?")
    page.locator(".thumbs").wait_for()
    page.get_by_role("textbox", name="Ihre Frage").fill("And how do I")
    page.goto(shop[0])
    page.get_by_role("button", name="Chat öffnen").click()
    assert "left" in page.locator(".told").inner_text()
    assert page.get_by_role("textbox", name="Ihre Frage").input_value() == "And how do I"
    page.get_by_role("button", name="Neues Gespräch").click()
    page.goto(shop[0])
    page.get_by_role("button", name="Chat öffnen").click()
    assert page.locator(".told").count() == 0 and page.get_by_text("Guten Tag!").is_visible()


def test_a_page_that_is_not_allowed_says_so_and_stops_trying(page: Page, shop: Shop) -> None:
    page.goto(shop[0].replace("localhost", "127.0.0.1"))
    page.get_by_role("button", name="Chat öffnen").click()
    ask(page, "May I?")
    page.locator(".wrong").get_by_text("Diese Seite darf den Chat noch nicht benutzen.").wait_for()
    assert page.locator(".again").count() == 0 and ids(shop, "May I?") == []


def test_the_script_is_small_and_loads_nothing_else() -> None:
    script = (widget.ASSETS / "widget.js").read_text()
    assert len(script.encode()) <= 60_000
    assert "innerHTML" not in script
