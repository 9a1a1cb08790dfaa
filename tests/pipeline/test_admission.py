"""The door: running, waiting, sent away with a time to come back."""

from __future__ import annotations

import asyncio

from pipeline import notices
from pipeline.events import Answer, Failed
from pipeline.models.scripted import Scripted
from pipeline.steps.admission import Admission
from tests.pipeline.turns import ask, make_pipeline

LID = "What happens when I close the lid of my laptop?"


async def test_turns_wait_first_come_first_served() -> None:
    door = Admission(1, 2, 5.0, 9)
    order: list[str] = []

    async def turn(user: str) -> None:
        assert await door.enter(user) is None
        order.append(user)
        await asyncio.sleep(0.01)
        door.leave(user, 0.01)

    async with asyncio.TaskGroup() as group:
        for user in ("ada", "bob", "eve"):
            group.create_task(turn(user))
    assert order == ["ada", "bob", "eve"]
    assert (door.running, door.waiting) == (0, 0)


async def test_a_full_queue_and_a_long_wait_say_when_to_come_back() -> None:
    door = Admission(1, 1, 0.05, 9)
    for _ in range(200):
        door.turn_seconds += 0.05 * (8.0 - door.turn_seconds)
    assert await door.enter("ada") is None
    waits = asyncio.create_task(door.enter("bob"))
    await asyncio.sleep(0)
    full = await door.enter("eve")
    assert isinstance(full, Failed)
    assert (full.code, full.retry_after) == ("busy", 16.0)
    late = await waits
    assert isinstance(late, Failed)
    assert late.retry_after == 8.0
    door.leave("ada", 8.0)
    assert await door.enter("bob") is None
    assert door.running == 1


async def test_one_user_cannot_take_all_places() -> None:
    door = Admission(10, 10, 1.0, 2)
    first = [await door.enter("ada") for _ in range(3)]
    assert first[:2] == [None, None]
    assert isinstance(first[2], Failed)
    assert (first[2].code, first[2].message) == ("too_many_turns", notices.ONE_BY_ONE)
    assert await door.enter("bob") is None
    door.leave("ada", 1.0)
    assert await door.enter("ada") is None


async def test_who_leaves_the_queue_takes_no_place() -> None:
    door = Admission(1, 5, 5.0, 9)
    assert await door.enter("ada") is None
    gone, next_one = (asyncio.create_task(door.enter(user)) for user in ("bob", "eve"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    door.leave("ada", 0.1)
    assert await next_one is None
    assert (door.running, door.waiting) == (1, 0)


async def test_who_is_called_and_gone_at_once_gives_the_place_on() -> None:
    door = Admission(1, 5, 5.0, 9)
    assert await door.enter("ada") is None
    gone, next_one = (asyncio.create_task(door.enter(user)) for user in ("bob", "eve"))
    await asyncio.sleep(0)
    door.leave("ada", 0.1)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert await next_one is None
    assert door.running == 1


async def test_questions_beyond_the_places_are_answered_one_after_the_other() -> None:
    model = Scripted("It suspends [1].", gap_seconds=0.01)
    pipeline = await make_pipeline(model, limits={"running_turns": 1, "queued_turns": 5})
    ends = await asyncio.gather(*(ask(pipeline, LID, user_id=f"u{n}") for n in range(4)))
    assert all(isinstance(end, Answer) for end, _ in ends)
    assert pipeline.running == 0


async def test_tokens_per_minute_are_per_user() -> None:
    pipeline = await make_pipeline(Scripted("It suspends [1]."), limits={"tokens_per_minute": 60})
    first, _ = await ask(pipeline, LID, user_id="ada")
    again, _ = await ask(pipeline, LID, user_id="ada")
    other, _ = await ask(pipeline, LID, user_id="eve")
    assert isinstance(first, Answer)
    assert isinstance(again, Failed)
    assert (again.code, (again.retry_after or 0) > 1) == ("rate_limited", True)
    assert isinstance(other, Answer)
