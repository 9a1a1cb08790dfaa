"""Open WebUI itself, of the package registry and in an environment of its own, talks to the chat server."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.console.chat_server import Chat, server
from tests.console.test_supervisor import free_port, wait_for
from traces.records import ERRANDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["server"]

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
RELEASE = "open-webui==0.12.4"
UNUSED = (  # it runs models of its own with these; a model elsewhere needs none
    "torch triton sentence-transformers transformers colbert-ai faster-whisper accelerate "
    "opencv-python-headless playwright"
)
TOOLS = Path(sys.executable).parent
QUESTION = "How do I descale the machine?"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("open-webui")
    left_out = folder / "left-out.txt"
    left_out.write_text("".join(f"{name}; sys_platform == 'never'\n" for name in UNUSED.split()))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    command = [TOOLS / "uv", "pip", "install", "-q", "--python", folder / "venv/bin/python"]
    done = subprocess.run(
        [*command, "--override", left_out, RELEASE], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"{RELEASE} cannot be installed here: {done.stderr.strip()[-300:]}")
    return folder / "venv/bin/open-webui"


@pytest.fixture(scope="module")
def front_end(program: Path, server: Chat) -> Iterator[str]:
    port = free_port()
    folder = program.parents[2]
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
    command = [program, "serve", "--host", "127.0.0.1", "--port", str(port)]
    address = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5) as reply:
            return reply.status == 200
        return False

    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        wait_for(ready, 180)
        yield address
    finally:
        process.terminate()
        process.wait(30)


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
