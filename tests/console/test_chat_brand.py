"""The look a team gives its page: readable whatever the colour, and a logo that runs nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from console.chat.brand import ASSETS, CARDS, READABLE, _read, brand, colours, contrast
from console.chat.contact import hand_over
from console.chat.reader import Reader
from console.chat.suggest import Examples, Excerpt, examples, following
from console.chat.talk import Talk
from pipeline.errors import ConfigurationError
from pipeline.models.scripted import Scripted
from pipeline.settings import load_settings
from tests.console.chat_server import DOCUMENTS, reply
from tests.console.test_chat_sources import exchange
from tests.pipeline.turns import make_pipeline

ADA = Reader("ada", "tab")


@pytest.mark.parametrize("colour", ["#000000", "#ffffff", "#ffe600", "#e60023", "#00a3ff", "#808080"])
def test_any_colour_stays_readable(colour: str) -> None:
    rules = dict(zip(CARDS, re.findall(r"\{(.*?)\}", colours(colour)), strict=True))
    for look, tokens in rules.items():
        value = dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{6})", tokens))
        strong, on = _read(value["accent-strong"]), _read(value["on-accent"])
        assert contrast(strong, _read(CARDS[look])) >= READABLE
        assert contrast(strong, _read(value["accent-soft"])) >= READABLE
        assert contrast(on, _read(value["accent"])) >= 3.9


@pytest.mark.parametrize("look", [":root", ".dark"])
def test_the_pages_own_colours_are_readable(look: str) -> None:
    rule = (ASSETS / "chat.css").read_text().partition(f"{look} {{")[2].partition("}")[0]
    value = {name: _read(code) for name, code in re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", rule)}
    for ink in ("ink", "soft", "faint", "accent-strong"):
        for back in ("page", "card", "accent-soft"):
            assert contrast(value[ink], value[back]) >= READABLE, (ink, back)
    assert contrast(value["on-accent"], value["accent"]) >= READABLE


def test_a_logo_is_a_picture_and_nothing_else(tmp_path: Path) -> None:
    from console.chat.page import ChatPage  # Gradio takes seconds, which each worker would spend

    path = tmp_path / "logo.svg"
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    look = brand(load_settings(chat={"name": "Tide & Co", "logo": path, "colour": "#123456"}).chat)
    html = str(ChatPage(Talk(UNUSED), 1, look, Examples(UNUSED, "x"))._header("en"))
    assert "<script" not in html
    assert 'src="data:image/svg+xml;base64,' in html
    assert "Tide &amp; Co" in html
    assert "--accent:#123456" in look.style


class Unused:
    """A part that is not used here."""

    memory = None
    spaces = None


UNUSED: Any = Unused()


@pytest.mark.parametrize(
    ("chat", "sentence"),
    [
        ({"colour": "blue"}, "chat.colour"),
        ({"logo": "logo.exe"}, "is no picture"),
        ({"logo": "nowhere.svg"}, "there is no file"),
        ({"contact_webhook": "ftp://x"}, "http(s) address"),
        ({"language": "xx"}, "chat.language"),
        ({"greetings": "x"}, "greeting"),
    ],
)
def test_a_wrong_table_is_named(chat: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        load_settings(chat=chat)
    assert sentence in str(wrong.value)


@pytest.fixture
def desk() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """What takes conversations for people: its address and the letters it got."""
    letters: list[dict[str, Any]] = []

    class Desk(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            letters.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200 if self.path == "/take" else 500)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Desk) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", letters
        server.shutdown()
        thread.join()


async def test_a_person_gets_the_conversation(desk: tuple[str, list[dict[str, Any]]]) -> None:
    address, letters = desk
    pipeline = await make_pipeline(Scripted(reply), documents=DOCUMENTS)
    talk = Talk(pipeline, webhook=f"{address}/take")
    view = [view async for view in talk.ask(ADA, "", "How do I descale the machine?")][-1]
    conversation = view.conversation or ""
    turn = (pipeline.memory.conversation("ada", conversation) or [])[0]["turn_id"]
    assert "Talk to a person" in (view.live or "")
    opened = await talk.contact(ADA, conversation, turn, "open", "")
    assert "How can they reach you" in (opened.live or "")
    sent = await talk.contact(ADA, conversation, turn, "", "Call 12 please")
    stolen = await talk.contact(Reader("bob", "t"), conversation, turn, "", "mine")
    await pipeline.close()
    assert "A person has your conversation" in (sent.live or "")
    assert "conversation" not in (stolen.live or "")
    [letter] = letters
    assert (letter["message"], letter["user"], letter["conversation_id"]) == (
        "Call 12 please",
        "ada",
        conversation,
    )
    assert letter["turns"][0]["question"] == "How do I descale the machine?"


def test_a_desk_that_fails_is_said_calmly(desk: tuple[str, list[dict[str, Any]]]) -> None:
    address, _ = desk
    assert not hand_over(f"{address}/broken", "ada", "c", "t", "m", [])
    assert not hand_over("http://127.0.0.1:9/closed", "ada", "c", "t", "m", [])


def test_what_may_follow_comes_from_passages_that_were_read_and_not_cited() -> None:
    shown = exchange("Descale the machine when the red drop lights up [1].")
    assert following(shown, ["How?"]) == ["Rinse the machine"]
    assert following(shown, ["How?", "rinse the machine"]) == []
    assert following(exchange(outcome="no_context"), []) == []


def test_examples_are_made_of_titles_one_a_document() -> None:
    texts = [
        Excerpt("a", "Add a printer", "Open Settings."),
        Excerpt("a", "Remove a printer", "Open Settings."),
        Excerpt("b", "Drucker einrichten", "Wie man einen Drucker und das Papier einrichtet."),
        Excerpt("c", "<b>Bold</b> move now", "x"),
    ]
    assert (
        sorted(examples(texts)) == ["Drucker einrichten", "How do I add a printer?"]
        or len(examples(texts)) == 2
    )


async def test_examples_wait_for_documents() -> None:
    pipeline = await make_pipeline(documents=())
    own = Examples(pipeline.knowledge, "nothing")
    await own.refresh()
    fixed = Examples(pipeline.knowledge, "nothing", ["Mine?"])
    await fixed.refresh()
    await pipeline.close()
    assert (list(own.texts), list(fixed.texts)) == ([], ["Mine?"])
