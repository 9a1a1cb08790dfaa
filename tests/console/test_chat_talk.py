"""What the page can do, without a browser."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from console.chat import history
from console.chat.talk import Reader, Talk, View
from tests.console.chat_server import Rehearsal

ADA = Reader("ada", "tab-1")
BOB = Reader("bob", "tab-2")


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal(tmp_path, gap=0)
    yield rehearsal
    rehearsal.memory.close()


@pytest.fixture
def talk(rehearsal: Rehearsal) -> Talk:
    return Talk(rehearsal, ["An example?"])


async def ask(talk: Talk, text: str, conversation: str = "", reader: Reader = ADA) -> list[View]:
    return [view async for view in talk.ask(reader, conversation, text)]


def turn_ids(rehearsal: Rehearsal, conversation: str, user: str = "ada") -> list[str]:
    return [turn["turn_id"] for turn in rehearsal.memory.conversation(user, conversation) or []]


async def test_a_question_shows_at_once_then_its_answer_with_sources(talk: Talk) -> None:
    views = await ask(talk, "How do I turn on bounce keys?")
    assert "Searching the documents" in (views[0].live or "")
    assert "How do I turn on bounce keys?" in (views[0].live or "")
    last = views[-1]
    assert (last.live or "").count('class="cite"') == 5
    assert "2 cited" in (last.panel or "")
    assert last.conversation and last.conversation in (last.drawer or "")


async def test_earlier_turns_are_read_from_memory_not_from_the_browser(talk: Talk) -> None:
    conversation = (await ask(talk, "First question"))[-1].conversation or ""
    view = (await ask(talk, "Second question", conversation))[-1]
    assert "First question" in (view.past or "")
    assert "Second question" in (view.live or "")


async def test_a_conversation_of_somebody_else_stays_closed(talk: Talk, rehearsal: Rehearsal) -> None:
    conversation = (await ask(talk, "My secret"))[-1].conversation or ""
    view = talk.open(BOB, conversation)
    assert "secret" not in "".join(part or "" for part in view)
    talk.remove(BOB, conversation, conversation)
    talk.undo(BOB, conversation, turn_ids(rehearsal, conversation)[0])
    assert len(turn_ids(rehearsal, conversation)) == 1


@pytest.mark.parametrize("conversation", ["../etc", "x" * 65, "a b", "<script>"])
async def test_a_malformed_conversation_id_begins_a_new_one(talk: Talk, conversation: str) -> None:
    view = (await ask(talk, "Hello", conversation))[-1]
    assert view.conversation != conversation
    assert "An example?" in (talk.open(ADA, conversation).past or "")


async def test_updates_are_merged_to_a_few_a_second(talk: Talk, rehearsal: Rehearsal) -> None:
    rehearsal.gap = 0.02
    begun = time.monotonic()
    views = await ask(talk, "How?")
    assert len(views) / (time.monotonic() - begun) <= 12
    assert len(views) >= 4


async def test_stop_keeps_what_came_and_closes_the_turn(talk: Talk, rehearsal: Rehearsal) -> None:
    rehearsal.gap = 0.02
    view = View(None, None, None, None, None)
    async for view in talk.ask(ADA, "", "How?"):
        if "Bounce keys" in (view.live or ""):
            talk.stop(ADA)
    assert "You stopped this answer." in (view.live or "")
    assert "Bounce keys" in (view.live or "")
    assert rehearsal.abandoned == 1
    again = talk.open(ADA, view.conversation or "")
    assert "You stopped this answer." in (again.live or "")


async def test_a_reader_who_goes_away_closes_the_turn(talk: Talk, rehearsal: Rehearsal) -> None:
    rehearsal.gap = 0.02
    views = talk.ask(ADA, "", "How?")
    async for view in views:
        if "Bounce keys" in (view.live or ""):
            break
    await views.aclose()  # type: ignore[attr-defined]  # what Gradio does when the page is closed
    await asyncio.sleep(0.05)
    assert rehearsal.abandoned == 1


async def test_asking_again_replaces_the_turn(talk: Talk, rehearsal: Rehearsal) -> None:
    conversation = (await ask(talk, "First"))[-1].conversation or ""
    await ask(talk, "Second", conversation)
    first, second = turn_ids(rehearsal, conversation)
    async for _ in talk.again(ADA, conversation, second):
        pass
    kept = turn_ids(rehearsal, conversation)
    assert kept[0] == first
    assert second not in kept
    views = [view async for view in talk.again(ADA, conversation, first, "Changed")]
    assert [turn["question"] for turn in rehearsal.memory.conversation("ada", conversation) or []] == [
        "Changed"
    ]
    assert "Second" not in f"{views[-1].past}{views[-1].live}"


async def test_undo_gives_the_question_back(talk: Talk, rehearsal: Rehearsal) -> None:
    conversation = (await ask(talk, "First"))[-1].conversation or ""
    view, question = talk.undo(ADA, conversation, turn_ids(rehearsal, conversation)[0])
    assert question == "First"
    assert "An example?" in (view.past or "")


async def test_errors_are_calm_and_named(talk: Talk) -> None:
    conversation = (await ask(talk, "busy"))[-1].conversation or ""
    view = (await ask(talk, "broken", conversation))[-1]
    assert "Please wait 12 s" in (view.past or "")
    assert "Something went wrong on our side" in (view.live or "")
    assert "rehearsal breaks" not in f"{view.past}{view.live}"


async def test_absent_degraded_and_withheld_answers_say_so(talk: Talk) -> None:
    assert 'class="answer absent"' in ((await ask(talk, "absent"))[-1].live or "")
    assert "not reachable" in ((await ask(talk, "degraded"))[-1].live or "")
    withheld = (await ask(talk, "retract"))[-1].live or ""
    assert "I cannot show this answer." in withheld
    assert "Bounce keys ignore" not in withheld


async def test_thumbs_reach_the_right_turn(talk: Talk, rehearsal: Rehearsal) -> None:
    conversation = (await ask(talk, "First"))[-1].conversation or ""
    await ask(talk, "Second", conversation)
    first, _ = turn_ids(rehearsal, conversation)
    view = await talk.rate(ADA, conversation, first, "down")
    assert "What was wrong?" in (view.past or "")
    view = await talk.comment(ADA, conversation, first, ["not_correct", "made_up"], " It is F7. ")
    assert "Thank you" in (view.past or "")
    assert rehearsal.feedbacks[-1] == {
        "turn_id": first,
        "value": -1,
        "comment": "It is F7.",
        "tags": ["not_correct"],
    }


async def test_nobody_rates_the_turn_of_somebody_else(talk: Talk, rehearsal: Rehearsal) -> None:
    conversation = (await ask(talk, "First"))[-1].conversation or ""
    await talk.rate(BOB, conversation, turn_ids(rehearsal, conversation)[0], "up")
    assert rehearsal.feedbacks == []


async def test_a_thumb_during_an_answer_redraws_only_what_is_settled(
    talk: Talk, rehearsal: Rehearsal
) -> None:
    conversation = (await ask(talk, "First"))[-1].conversation or ""
    rehearsal.gap = 0.02
    first = turn_ids(rehearsal, conversation)[0]
    views: list[View] = []
    async for view in talk.ask(ADA, conversation, "Second"):
        if not views:
            rated = await talk.rate(ADA, conversation, first, "up")
            assert rated.live is None
        views.append(view)
    assert 'class="tool pressed"' in (views[-1].past or "")


def test_conversations_are_grouped_by_age() -> None:
    conversations = [
        {"conversation_id": "a", "title": "New <b>", "updated_at": "2026-11-23T01:00:00+00:00"},
        {"conversation_id": "b", "title": "Old", "updated_at": "2026-11-22T23:00:00+00:00"},
        {"conversation_id": "c", "title": "", "updated_at": "2025-01-01T00:00:00+00:00"},
    ]
    html = str(history.drawer(conversations, "b", date(2026, 11, 23)))
    assert html.index("Today") < html.index("Yesterday") < html.index("Earlier")
    assert "New &lt;b&gt;" in html
    assert "Untitled" in html
    assert 'class="item current" data-conversation="b"' in html
