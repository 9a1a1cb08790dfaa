"""Conversations in a database elsewhere: the page waits for it in a thread, and goes on without it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from console.chat.reader import Reader
from console.chat.talk import Talk, View
from pipeline.errors import ConversationsError
from pipeline.models.scripted import Scripted
from pipeline.turn import Pipeline
from tests.console.chat_server import DOCUMENTS, reply
from tests.pipeline.turns import make_pipeline

ADA = Reader("ada", "tab-1")
AWAY = "Your conversations cannot be reached right now."


class Elsewhere:
    """The conversations as if a server kept them: notes which thread asks, and can be away."""

    def __init__(self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads: set[str] = set()
        self.away = False
        run = pipeline.memory._run

        def asked(work: Any) -> Any:
            self.threads.add(threading.current_thread().name)
            if self.away:
                raise ConversationsError("no answer")
            return run(work)

        pipeline.memory._apart = ThreadPoolExecutor(1, "conversations")
        monkeypatch.setattr(pipeline.memory, "_run", asked)
        monkeypatch.setattr(pipeline.memory.history, "_run", asked)
        monkeypatch.setattr(pipeline.memory.uploads, "_run", asked)


@pytest.fixture
async def pipeline() -> AsyncIterator[Pipeline]:
    pipeline = await make_pipeline(Scripted(reply), documents=DOCUMENTS)
    yield pipeline
    await pipeline.close()


@pytest.fixture
def elsewhere(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    return Elsewhere(pipeline, monkeypatch)


async def ask(talk: Talk, text: str, conversation: str = "") -> View:
    return [view async for view in talk.ask(ADA, conversation, text)][-1]


def turns(view: View) -> list[str]:
    return f"{view.past}{view.live}".split('data-testid="user"')[1:]


async def test_everything_a_reader_does_waits_in_the_databases_thread(
    pipeline: Pipeline, elsewhere: Elsewhere
) -> None:
    talk = Talk(pipeline, webhook="http://127.0.0.1:9/")
    conversation = (await ask(talk, "How do I descale it?")).conversation or ""
    [turn] = pipeline.memory.conversation("ada", conversation) or []
    elsewhere.threads.clear()
    key = turn["turn_id"]
    await talk.open(ADA, conversation)
    await talk.show(ADA, conversation, key)
    await talk.rate(ADA, conversation, key, "down")
    await talk.comment(ADA, conversation, key, ["other"], "no")
    await talk.contact(ADA, conversation, key, "open", "")
    await talk.dismiss(ADA, conversation, key)
    await talk.forget(ADA, conversation, key, "f")
    await talk.flip(ADA, conversation, key)
    await talk.shelf.rename(ADA, conversation, "Lime")
    await talk.shelf.pin(ADA, conversation, pinned=True)
    link = await talk.shelf.share(ADA, conversation)
    assert link and link.path and (await talk.shelf.unshare(ADA, conversation)) is not None
    assert "Lime" in ((await talk.listed(ADA, conversation)).drawer or "")
    _ = [view async for view in talk.again(ADA, conversation, key)]
    _ = [view async for view in talk.resume(ADA, conversation)]
    await talk.undo(ADA, conversation, key)
    await talk.remove(ADA, conversation, conversation)
    assert elsewhere.threads == {"conversations_0"}


async def test_while_conversations_are_away_questions_are_answered_and_what_was_read_stays(
    pipeline: Pipeline, elsewhere: Elsewhere
) -> None:
    talk = Talk(pipeline)
    conversation = (await ask(talk, "How do I descale it?")).conversation or ""
    await talk.open(ADA, conversation)
    elsewhere.away = True
    view = await ask(talk, "How do I rinse it?", conversation)
    assert view.drawer is None, "the list stays as it is"
    opened = await talk.open(ADA, conversation)
    assert len(turns(opened)) == 2 and "red drop" in turns(opened)[1]
    assert AWAY in (opened.choice or "")
    removed = await talk.remove(ADA, conversation, conversation)
    assert removed.past is None and removed.conversation is None, "what could not be deleted stays"
    assert (await talk.undo(ADA, conversation, "x"))[1] == ""
    elsewhere.away = False
    back = await talk.listed(ADA, conversation)
    assert back.choice is not None and AWAY not in back.choice
    assert len(turns(await talk.open(ADA, conversation))) == 2


async def test_a_thumb_that_cannot_be_kept_is_no_thanks(pipeline: Pipeline, elsewhere: Elsewhere) -> None:
    talk = Talk(pipeline)
    conversation = (await ask(talk, "How do I descale it?")).conversation or ""
    [turn] = pipeline.memory.conversation("ada", conversation) or []
    elsewhere.away = True
    view = await talk.comment(ADA, conversation, turn["turn_id"], ["other"], "no")
    assert "Your feedback cannot be kept right now" in (view.live or "") and "Thank you" not in (
        view.live or ""
    )
