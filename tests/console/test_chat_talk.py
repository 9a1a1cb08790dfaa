"""What the page can do, without a browser."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest

from console.chat import history, running
from console.chat.reader import Reader
from console.chat.talk import Talk, View
from pipeline.guardrails.outbound import Outbound, OutboundStream
from pipeline.models.scripted import Scripted
from pipeline.turn import Pipeline
from tests.console.chat_server import ANSWER, DOCUMENTS, reply
from tests.pipeline.turns import make_pipeline, recorded
from tests.waiting import until
from traces.records import Score

ADA = Reader("ada", "tab-1")
BOB = Reader("bob", "tab-2")


@pytest.fixture
def model() -> Scripted:
    return Scripted(reply)


@pytest.fixture
async def pipeline(model: Scripted) -> AsyncIterator[Pipeline]:
    pipeline = await make_pipeline(model, documents=DOCUMENTS)
    yield pipeline
    await pipeline.close()


@pytest.fixture
def talk(pipeline: Pipeline) -> Talk:
    return Talk(pipeline, ["An example?"])


def slowly(model: Scripted) -> None:
    """Let the model take 20 ms for nine characters from now on."""
    model.script([part for i in range(0, len(ANSWER), 9) for part in (0.02, ANSWER[i : i + 9])])


def outcomes(pipeline: Pipeline) -> list[str]:
    with pipeline.store.read() as ledger:
        return [row["outcome"] for row in ledger.rows("select outcome from turns order by turn_id")]


def thumbs(pipeline: Pipeline, turn_id: str) -> list[Score]:
    return [score for score in recorded(pipeline, turn_id).scores if score.name == "feedback"]


async def ask(talk: Talk, text: str, conversation: str = "", reader: Reader = ADA) -> list[View]:
    return [view async for view in talk.ask(reader, conversation, text)]


def turn_ids(pipeline: Pipeline, conversation: str, user: str = "ada") -> list[str]:
    return [turn["turn_id"] for turn in pipeline.memory.conversation(user, conversation) or []]


async def test_a_question_shows_at_once_then_its_answer_with_sources(talk: Talk) -> None:
    views = await ask(talk, "How do I descale the machine?")
    assert "Searching the documents" in (views[0].live or "")
    assert "How do I descale the machine?" in (views[0].live or "")
    last = views[-1]
    assert (last.live or "").count('class="cite"') == 5
    assert "2 cited" in (last.panel or "")
    assert last.conversation and last.conversation in (last.drawer or "")


async def test_earlier_turns_are_read_from_memory_not_from_the_browser(talk: Talk) -> None:
    conversation = (await ask(talk, "How do I descale the first one?"))[-1].conversation or ""
    view = (await ask(talk, "How do I descale the second one?", conversation))[-1]
    assert "How do I descale the first one?" in (view.past or "")
    assert "How do I descale the second one?" in (view.live or "")


async def test_a_conversation_of_somebody_else_stays_closed(talk: Talk, pipeline: Pipeline) -> None:
    conversation = (await ask(talk, "My secret"))[-1].conversation or ""
    view = await talk.open(BOB, conversation)
    assert "secret" not in "".join(part or "" for part in view)
    await talk.remove(BOB, conversation, conversation)
    await talk.undo(BOB, conversation, turn_ids(pipeline, conversation)[0])
    assert len(turn_ids(pipeline, conversation)) == 1


@pytest.mark.parametrize("conversation", ["../etc", "x" * 65, "a b", "<script>"])
async def test_a_malformed_conversation_id_begins_a_new_one(talk: Talk, conversation: str) -> None:
    view = (await ask(talk, "Hello", conversation))[-1]
    assert view.conversation != conversation
    assert "An example?" in ((await talk.open(ADA, conversation)).past or "")


async def test_updates_are_merged_to_a_few_a_second(talk: Talk, model: Scripted, pipeline: Pipeline) -> None:
    slowly(model)
    begun = time.monotonic()
    views = await ask(talk, "How do I descale the machine?")
    assert len(views) / (time.monotonic() - begun) <= 12
    assert len(views) >= 4


async def test_stop_keeps_what_came_and_closes_the_turn(
    talk: Talk, model: Scripted, pipeline: Pipeline
) -> None:
    slowly(model)
    view = View(None, None, None, None, None)
    async for view in talk.ask(ADA, "", "How do I descale the machine?"):
        if "red drop" in (view.live or ""):
            talk.stop(ADA)
    assert "You stopped this answer." in (view.live or "")
    assert "red drop" in (view.live or "")
    assert outcomes(pipeline) == ["abandoned"]
    again = await talk.open(ADA, view.conversation or "")
    assert "You stopped this answer." in (again.live or "")


async def leave(talk: Talk, reader: Reader = ADA) -> str:
    """Ask, and go away in the middle of the answer, as Gradio does when a connection is lost."""
    views = talk.ask(reader, "", "How do I descale the machine?")
    async for view in views:
        if "red drop" in (view.live or ""):
            await views.aclose()
            return view.conversation or ""
    pytest.fail("the answer was over too soon")


async def test_a_reader_who_goes_away_closes_the_turn_after_a_while(
    talk: Talk, model: Scripted, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "PATIENCE", 0.02)
    slowly(model)
    conversation = await leave(talk)
    await until(lambda: outcomes(pipeline) == ["abandoned"])
    live = (await talk.open(ADA, conversation)).live or ""
    assert "The connection was lost before the answer was complete." in live
    assert "red drop" in live
    assert "Try again" in live


@pytest.mark.parametrize("tab", ["tab-1", "another-tab"])
async def test_a_reader_who_comes_back_sees_the_answer_go_on(
    talk: Talk, model: Scripted, pipeline: Pipeline, tab: str
) -> None:
    slowly(model)
    conversation = await leave(talk)
    shown = "" if tab == ADA.tab else conversation  # the first view may have been lost as well
    views = [view async for view in talk.resume(Reader("ada", tab), shown)]
    assert 'aria-busy="true"' in (views[0].live or "")
    assert (views[-1].live or "").count('class="cite"') == 5
    assert outcomes(pipeline) == ["answered"]


async def test_an_answer_goes_on_while_its_reader_looks_at_another_conversation(
    talk: Talk, model: Scripted, pipeline: Pipeline
) -> None:
    slowly(model)
    views = talk.ask(ADA, "", "How do I descale the machine?")
    conversation = (await anext(views)).conversation or ""
    await talk.open(ADA, "")
    assert [view async for view in views] == []
    views = [view async for view in talk.visit(ADA, conversation)]
    assert (views[-1].live or "").count('class="cite"') == 5
    assert len(turn_ids(pipeline, conversation)) == 1


async def test_a_question_that_the_browser_sends_twice_is_asked_once(talk: Talk, pipeline: Pipeline) -> None:
    for _ in range(2):
        views = [view async for view in talk.ask(ADA, "", "How do I descale it?", "key-1")]
        assert "red drop" in (views[-1].live or "")
    assert outcomes(pipeline) == ["answered"]
    await ask(talk, "How do I descale it?")
    assert outcomes(pipeline) == ["answered", "answered"]


async def test_a_question_in_a_conversation_whose_answer_still_comes_stops_that_one(
    talk: Talk, model: Scripted, pipeline: Pipeline
) -> None:
    slowly(model)
    conversation = await leave(talk)
    views = await ask(talk, "How do I rinse it?", conversation, Reader("ada", "tab-3"))
    assert "You stopped this answer." in (views[-1].past or "")
    assert outcomes(pipeline) == ["abandoned", "answered"]


async def test_a_conversation_that_is_deleted_takes_its_answer_along(
    talk: Talk, model: Scripted, pipeline: Pipeline
) -> None:
    slowly(model)
    conversation = await leave(talk)
    await talk.remove(ADA, conversation, "")
    await until(lambda: outcomes(pipeline) == ["abandoned"])
    assert "What would you like to know?" in ((await talk.open(ADA, conversation)).past or "")


async def test_asking_again_replaces_the_turn(talk: Talk, pipeline: Pipeline) -> None:
    conversation = (await ask(talk, "How do I descale it?"))[-1].conversation or ""
    await ask(talk, "How do I rinse it?", conversation)
    first, second = turn_ids(pipeline, conversation)
    async for _ in talk.again(ADA, conversation, second):
        pass
    kept = turn_ids(pipeline, conversation)
    assert kept[0] == first
    assert second not in kept
    views = [view async for view in talk.again(ADA, conversation, first, "Changed")]
    assert [turn["question"] for turn in pipeline.memory.conversation("ada", conversation) or []] == [
        "Changed"
    ]
    assert "How do I rinse it?" not in f"{views[-1].past}{views[-1].live}"


async def test_undo_gives_the_question_back(talk: Talk, pipeline: Pipeline) -> None:
    conversation = (await ask(talk, "How do I descale it?"))[-1].conversation or ""
    view, question = await talk.undo(ADA, conversation, turn_ids(pipeline, conversation)[0])
    assert question == "How do I descale it?"
    assert "An example?" in (view.past or "")


class BrokenOutbound(Outbound):
    def open(self, *_: Any, **__: Any) -> OutboundStream:
        raise RuntimeError("the rehearsal breaks here")


async def test_an_error_of_ours_is_calm_and_names_no_cause() -> None:
    pipeline = await make_pipeline(Scripted(reply), documents=DOCUMENTS, parts={"outbound": BrokenOutbound()})
    view = (await ask(Talk(pipeline), "How do I descale it?"))[-1]
    assert "Something went wrong on our side" in (view.live or "")
    assert "rehearsal breaks" not in f"{view.past}{view.live}"
    await pipeline.close()


async def test_who_asks_too_fast_is_told_how_long_to_wait() -> None:
    pipeline = await make_pipeline(Scripted(reply), documents=DOCUMENTS, limits={"requests_per_minute": 1})
    talk = Talk(pipeline)
    conversation = (await ask(talk, "How do I descale it?"))[-1].conversation or ""
    view = (await ask(talk, "How do I rinse it?", conversation))[-1]
    assert re.search(r"Please wait \d+ s", view.live or "")
    await pipeline.close()


async def test_absent_and_degraded_answers_say_so(talk: Talk) -> None:
    assert 'class="answer absent"' in ((await ask(talk, "What is absent from the machine?"))[-1].live or "")
    assert "not reachable" in ((await ask(talk, "How do I descale an unreachable machine?"))[-1].live or "")


async def test_an_answer_that_was_taken_back_leaves_nothing_on_the_page() -> None:
    model = Scripted("The machine has nine thousand purple wheels [1].")
    pipeline = await make_pipeline(model, documents=DOCUMENTS, rules={"ungrounded": "retract"})
    withheld = (await ask(Talk(pipeline), "How do I descale the machine?"))[-1].live or ""
    assert "purple wheels" not in withheld
    assert "I could not find this in the documents" in withheld
    await pipeline.close()


async def test_thumbs_reach_the_right_turn(talk: Talk, pipeline: Pipeline) -> None:
    conversation = (await ask(talk, "How do I descale it?"))[-1].conversation or ""
    await ask(talk, "How do I rinse it?", conversation)
    first, _ = turn_ids(pipeline, conversation)
    view = await talk.rate(ADA, conversation, first, "down")
    assert "What was wrong?" in (view.past or "")
    view = await talk.comment(ADA, conversation, first, ["not_correct", "made_up"], " It is F7. ")
    assert "Thank you" in (view.past or "")
    [thumb] = thumbs(pipeline, first)
    assert (thumb.value, thumb.reason, thumb.tags) == (-1, "It is F7.", "not_correct")


async def test_nobody_rates_the_turn_of_somebody_else(talk: Talk, pipeline: Pipeline) -> None:
    conversation = (await ask(talk, "How do I descale it?"))[-1].conversation or ""
    await talk.rate(BOB, conversation, turn_ids(pipeline, conversation)[0], "up")
    assert thumbs(pipeline, turn_ids(pipeline, conversation)[0]) == []


async def test_a_thumb_during_an_answer_redraws_only_what_is_settled(
    talk: Talk, model: Scripted, pipeline: Pipeline
) -> None:
    conversation = (await ask(talk, "How do I descale it?"))[-1].conversation or ""
    slowly(model)
    first = turn_ids(pipeline, conversation)[0]
    views: list[View] = []
    async for view in talk.ask(ADA, conversation, "How do I rinse it?"):
        if not views:
            rated = await talk.rate(ADA, conversation, first, "up")
            assert rated.live is None
        views.append(view)
    assert 'class="tool pressed"' in (views[-1].past or "")


def test_conversations_are_grouped_by_age() -> None:
    conversations = [
        {
            "conversation_id": "a",
            "title": "New <b>",
            "updated_at": "2026-11-23T01:00:00+00:00",
            "pinned": False,
        },
        {"conversation_id": "b", "title": "Old", "updated_at": "2026-11-22T23:00:00+00:00", "pinned": False},
        {"conversation_id": "c", "title": "", "updated_at": "2025-01-01T00:00:00+00:00", "pinned": False},
    ]
    html = str(history.drawer(conversations, "b", date(2026, 11, 23)))
    assert html.index("Today") < html.index("Yesterday") < html.index("Earlier")
    assert "New &lt;b&gt;" in html
    assert "Untitled" in html
    assert 'class="item current" data-conversation="b"' in html
