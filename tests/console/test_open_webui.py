"""Open WebUI itself, of the package registry and in an environment of its own, talks to the chat server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.console.chat_server import Chat, server
from tests.console.peers import installed, running
from tests.console.test_supervisor import free_port
from traces.records import ERRANDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["server"]

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
UNUSED = (  # it runs models of its own with these; a model elsewhere needs none
    "torch triton sentence-transformers transformers colbert-ai faster-whisper accelerate "
    "opencv-python-headless playwright"
)
QUESTION = "How do I descale the machine?"


@pytest.fixture(scope="module")
def front_end(tmp_path_factory: pytest.TempPathFactory, server: Chat) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("open-webui"), free_port()
    program = installed(folder, "open-webui==0.12.4", without=UNUSED) / "open-webui"
    environment = os.environ | {
        "DATA_DIR": str(folder / "data"),
        "OPENAI_API_BASE_URL": f"{server.address}/v1",
        "OPENAI_API_KEY": "none",
        "WEBUI_AUTH": "False",
        "WEBUI_SECRET_KEY": "for this test",
        "ENABLE_OLLAMA_API": "false",
        "RAG_EMBEDDING_ENGINE": "openai",
        "AUDIO_STT_ENGINE": "openai",
        "OFFLINE_MODE": "true",
        "DO_NOT_TRACK": "true",
    }
    address = f"http://127.0.0.1:{port}"
    command = [program, "serve", "--host", "127.0.0.1", "--port", str(port)]
    with running(command, environment, folder, f"{address}/health"):
        yield address


def test_a_question_there_is_a_turn_here_and_its_chores_cost_nothing(
    browser: Browser, front_end: str, server: Chat
) -> None:
    from playwright.sync_api import expect

    page = browser.new_page()
    page.goto(front_end)
    page.get_by_role("dialog").first.wait_for()  # what is new in this release
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    box = page.locator("#chat-input")
    box.click()
    box.type(QUESTION)
    page.keyboard.press("Enter")
    answer = page.locator("#messages-container")
    expect(answer).to_contain_text("Press Start in the Care menu [", timeout=60_000)
    expect(page.get_by_text("Follow up", exact=True)).to_be_visible(timeout=60_000)
    expect(page.get_by_role("heading", name="💬 Descale the machine")).to_be_visible(timeout=60_000)
    page.close()
    with server.store.read() as ledger:
        rows = ledger.rows("select door, question, outcome, cost_usd from turns order by started_at")
    asked = [(row["question"], row["outcome"]) for row in rows if row["door"] not in ERRANDS]
    assert asked == [(QUESTION, "answered")]
    chores = [row["cost_usd"] for row in rows if row["door"] == "task"]
    assert len(chores) == 3 and not any(chores)  # what to ask next, a title, tags
