"""The chat page before a rehearsed pipeline: real memory, answers by keyword. Run it to look at it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from pipeline.context.memory import Memory
from pipeline.errors import Refused
from pipeline.events import Answer, Citation, Delta, Event, Failed, Question, Retract, Sources, Started
from traces.ids import uuid7
from traces.records import Passage

BOUNCE = """With them the computer skips a key that is pressed twice in a hurry.

Turn on bounce keys to ignore key presses that follow each other rapidly.
1. Open the Activities overview and start typing Settings.
2. Click on Settings.
3. Click Accessibility in the sidebar to open the panel.
4. Press Typing Assist (AccessX) in the Typing section.
5. Switch the Bounce Keys switch to on.
Note: You can turn bounce keys on and off by clicking the accessibility icon on the top bar."""
SLOW = "Slow keys make the computer wait before it accepts a key. Use the slider to set the wait."
HELP = "https://help.example.org/users/desktop-help/stable/"
ANSWER = """Bounce keys ignore key presses that are **rapidly repeated** [1]. To turn them on:

1. Open the Activities overview and start typing *Settings* [1].
2. Click Accessibility in the sidebar, then Typing Assist (AccessX) [1].
3. Switch the Bounce Keys switch to on [1].

With slow keys instead, the computer waits before it accepts a key [2]."""
HOSTILE = """Hello <img src=x onerror="window.hacked=1"> <script>window.hacked=1</script> \
[click](javascript:window.hacked=1) ![pixel](https://evil.example/p.png) [real](https://example.com/a) [1]

[1]: javascript:alert(1)

`<b>code</b>`

<style>body{display:none}</style>"""
IMAGE = '<img src=x onerror="window.hacked=1">'
BUSY = "You are asking faster than allowed. Please wait 12 s and try again."
DEGRADED = "The language model is not reachable; these are the best matching passages."


def passages(turn_id: str, hostile: bool = False) -> tuple[Passage, ...]:
    rows = [
        ("a11y-bouncekeys", "Turn on bounce keys", HELP + "a11y-bouncekeys.html.en", BOUNCE),
        ("a11y-slowkeys", "Turn on slow keys", HELP + "a11y-slowkeys.html.en", SLOW),
        ("keyboard", "Keyboard", HELP + "keyboard.html.en", "Select input sources and keyboard layouts."),
    ]
    if hostile:
        rows[0] = ("x", IMAGE, "javascript:window.hacked=1", "<script>alert(1)</script>")
    return tuple(
        Passage(turn_id, n, f"{key}#0", key, title, url, text, n=n, vector_score=0.731)
        for n, (key, title, url, text) in enumerate(rows, 1)
    )


class Rehearsal:
    """Answers by keyword: slow, absent, busy, degraded, refuse, broken, hostile; else the bounce keys."""

    def __init__(self, folder: Path, gap: float = 0.02) -> None:
        self.memory = Memory(folder / "conversations.sqlite")
        self.gap = gap
        self.abandoned = 0
        self.feedbacks: list[dict[str, Any]] = []

    async def answer(self, question: Question) -> AsyncIterator[Event]:
        turn_id, text = uuid7(), question.text.lower()
        yield Started(turn_id, question.conversation_id or uuid7())
        if "busy" in text:
            yield Failed(
                "rate_limited",
                "You are asking faster than allowed. Please wait 12 s and try again.",
                turn_id,
                12.0,
            )
            return
        if "broken" in text:
            raise RuntimeError("the rehearsal breaks here")
        found = passages(turn_id, "hostile" in text)
        said = ""
        try:
            await asyncio.sleep(1.2 if "slow" in text else self.gap)
            yield Sources(found)
            await asyncio.sleep(1.2 if "slow" in text else 0)
            for piece in self._script(text):
                await asyncio.sleep(0.4 if "slow" in text else self.gap)
                said += piece
                yield Delta(piece)
        except (GeneratorExit, asyncio.CancelledError):
            self.abandoned += 1
            raise
        if "retract" in text:
            said = "I cannot show this answer."
            yield Retract(said, "secret")
        yield self._done(question, turn_id, found, said)

    async def feedback(
        self,
        turn_id: str,
        user_id: str,
        value: int,
        comment: str | None = None,
        tags: list[str] | None = None,
    ) -> None:
        if self.memory.owner(turn_id) != user_id:
            raise Refused("turn_not_found", "There is no such turn of yours.", status=404)
        self.feedbacks.append({"turn_id": turn_id, "value": value, "comment": comment, "tags": tags})

    def _script(self, text: str) -> list[str]:
        if "absent" in text:
            return ["I could not find this in the documents."]
        answer = HOSTILE if "hostile" in text else ANSWER
        return [answer[i : i + 9] for i in range(0, len(answer), 9)]

    def _done(self, question: Question, turn_id: str, found: tuple[Passage, ...], said: str) -> Answer:
        text = question.text.lower()
        degraded = "degraded" in text
        answer = Answer(
            turn_id=turn_id,
            conversation_id=question.conversation_id or "",
            outcome="no_context" if "absent" in text else "degraded" if degraded else "answered",
            answer=said,
            citations=tuple(Citation(p.n or 0, p.chunk_id, p.document_id, p.title, p.url) for p in found[:2]),
            passages=found,
            usage={"input_tokens": 1200, "output_tokens": 67},
            cost_usd=0.0004,
            first_token_seconds=0.09,
            seconds=1.4,
            model="rehearsal",
            notice=DEGRADED if degraded else None,
        )
        self.memory.remember(question.user_id, None, question.text, answer)
        return answer


@pytest.fixture(scope="session")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one chat server for the whole test run; its log is shown when it does not start."""
    folder = tmp_path_factory.mktemp("chat")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSWERDECK_")}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "ANSWERDECK_DATA_DIR": str(folder)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with (folder / "server.log").open("w") as log:
        command = [sys.executable, __file__, str(folder), str(port)]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(f"http://127.0.0.1:{port}", server, folder / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def _wait(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/readyz", timeout=5).close()
            return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.1)
    pytest.fail(f"the chat server does not answer:\n{log.read_text()[-3000:]}")


def serve(folder: Path, port: int) -> None:
    import uvicorn

    from console.chat.page import mount
    from pipeline.settings import load

    rehearsal = Rehearsal(folder, gap=0.01)
    app = FastAPI(openapi_url=None)

    @app.get("/readyz")
    def readyz() -> dict[str, Any]:
        return {"ready": True, "state": "ok"}

    @app.get("/rehearsal")
    def state() -> dict[str, Any]:
        return {"abandoned": rehearsal.abandoned, "feedbacks": rehearsal.feedbacks}

    uvicorn.run(mount(app, rehearsal, load()), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    serve(Path(sys.argv[1]), int(sys.argv[2]))
