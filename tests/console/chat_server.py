"""The chat page before a real pipeline whose model answers by keyword. Run it to look at it."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.errors import ModelError
from pipeline.knowledge.documents import Document
from pipeline.models.model import Prompt
from pipeline.models.scripted import Reply, Scripted
from pipeline.settings import Settings, load_settings
from traces.records import Passage
from traces.store import Store

DESCALE = """Lime slows the pump of the Tide 4, and the coffee turns lukewarm.

Descale the machine when the red drop lights up.
1. Pour one sachet of descaler and a litre of water into the tank.
2. Hold the Rinse button for three seconds.
3. Put a bowl under the spout and open the Care menu.
4. Press Start in the Care menu.
5. Fill the tank with fresh water when the pump falls silent.
Note: The red drop goes out by itself after the second rinse."""
RINSE = "Rinse the machine when the green drop lights up. The dial sets how long the rinse runs."
ANSWER = """Descale the machine when the **red drop** lights up [1]. To do so:

1. Pour one sachet of descaler and a *litre of water* into the tank [1].
2. Press Start in the Care menu [1].
3. Fill the tank with fresh water when the pump falls silent [1].

The dial sets how long the rinse runs [2]."""
HOSTILE = """Hello <img src=x onerror="window.hacked=1"> <script>window.hacked=1</script> \
[click](javascript:window.hacked=1) ![pixel](https://evil.example/p.png) [real](https://example.com/a) [4]

[1]: javascript:alert(1)

`<b>code</b>`

<style>body{display:none}</style>"""
ABSENT = "I could not find this in the documents."
SECRET = "The key is sk-ant-api03-" + "Zx8" * 24 + " and no other [1]."
IMAGE = '<img src=x onerror="window.hacked=1">'
HELP = "https://help.example.org/tide/"
DOCUMENTS = (
    Document("descale", "Descale the machine", DESCALE, HELP + "descale.html"),
    Document("rinse", "Rinse the machine", RINSE, HELP + "rinse.html"),
    Document("grind", "Choose a grind", "A finer grind makes the coffee stronger.", HELP + "grind.html"),
    Document("hostile", IMAGE, "A hostile page says <script>alert(1)</script>.", HELP + "hostile.html"),
)
NAMES = [one.document_id for one in DOCUMENTS]


def passages(turn_id: str, hostile: bool = False) -> tuple[Passage, ...]:
    """Return the first three documents as the passages of a turn, in this order."""
    rows = [(one.document_id, one.title, one.url, one.text) for one in DOCUMENTS[:3]]
    if hostile:
        rows[0] = ("x", IMAGE, "javascript:window.hacked=1", "<script>alert(1)</script>")
    return tuple(
        Passage(turn_id, n, f"{key}#0", key, title, url, text, n=n, vector_score=0.731)
        for n, (key, title, url, text) in enumerate(rows, 1)
    )


def reply(prompt: Prompt) -> Reply:
    """Return what the model says to a question, by the keyword in it; [1] is the descale page, [2] rinse."""
    place = {one.passage.document_id: n for n, one in enumerate(prompt.retrieved.candidates, 1)}
    question = prompt.question.lower()
    if "unreachable" in question:
        return ModelError("timeout_connect", "nobody is there")
    texts = {"absent": ABSENT, "hostile": HOSTILE, "secret": SECRET}
    text = next((text for word, text in texts.items() if word in question), ANSWER)
    text = re.sub(r"\[(\d)\]", lambda mark: f"[{place[NAMES[int(mark[1]) - 1]]}]", text)
    pieces = [text[i : i + 9] for i in range(0, len(text), 9)]
    if "slow" not in question:
        return pieces
    return [part for piece in pieces for part in (0.4, piece)]  # a number is a pause in seconds


def settings(folder: Path, port: int = 7860) -> Settings:
    """Return the configuration: seven questions a minute, an own knowledge base."""
    limits = {"requests_per_minute": 7}
    return load_settings(data_dir=folder, kb="tide", limits=limits, server={"port": port})


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat server that runs: its address, and its ledger, read from this process."""

    address: str
    store: Store

    def abandoned(self) -> int:
        """Return how many turns were stopped by their readers so far."""
        with self.store.read() as ledger:
            return len(ledger.rows("select turn_id from turns where outcome = 'abandoned'"))

    def comments(self, turn_id: str) -> list[str | None]:
        """Return the comments of the thumbs down that a turn got, oldest first."""
        query = "select reason from scores where turn_id = $turn and value < 0 order by created_at"
        with self.store.read() as ledger:
            return [row["reason"] for row in ledger.rows(query, turn=turn_id)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    """One chat server for the tests of a module; its log is shown when it does not start."""
    folder = tmp_path_factory.mktemp("chat")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSWERDECK_")}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2])}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with (folder / "server.log").open("w") as log:
        command = [sys.executable, __file__, str(folder), str(port)]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(f"http://127.0.0.1:{port}", process, folder / "server.log")
        yield Chat(f"http://127.0.0.1:{port}", Store(folder))
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def chat(server: Chat) -> str:
    """The address of the chat server."""
    return server.address


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(3_000):  # a slow machine: its process ends by itself where it cannot start
        try:
            urllib.request.urlopen(f"{address}/readyz", timeout=5).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    pytest.fail(f"the chat server does not answer:\n{log.read_text()[-3000:]}")


def serve(folder: Path, port: int) -> None:
    """Serve what `answerdeck serve` serves, with the scripted model in the provider's place."""
    import uvicorn

    from console.chat import running
    from console.server import create
    from pipeline.build import knowledge
    from pipeline.knowledge.ingest import store

    running.PATIENCE = 2.0
    configured = settings(folder, port)
    asyncio.run(store(DOCUMENTS, configured.kb, knowledge(configured)))
    app = create(configured, models=[Scripted(reply, gap_seconds=0.01)])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    serve(Path(sys.argv[1]), int(sys.argv[2]))
