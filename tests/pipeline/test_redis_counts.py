"""Limits over all machines: exact in a real server, by itself and marked when that is gone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from pipeline import build
from pipeline.databases import redis_server
from pipeline.databases.redis_server import RedisServer, Rest
from pipeline.errors import ConfigurationError, SessionsError
from pipeline.events import Answer, Failed, Question
from pipeline.guardrails.counts import RequestLimits, SharedCounts
from pipeline.guardrails.quota import FIRST_GUESS_TOKENS, Quota
from pipeline.guardrails.redis_counts import RedisCounts
from pipeline.rehearsal.clock import Clock
from pipeline.settings import load_settings
from pipeline.troubles import troubles
from tests.databases import Sessions

GONE = "redis://:s3cret@127.0.0.1:1/0"
CHILD = """
import asyncio, sys
from pipeline.guardrails.quota import Quota
from pipeline.guardrails.redis_counts import RedisCounts
from pipeline.databases.redis_server import RedisServer

async def main():
    counts = RedisCounts(RedisServer(sys.argv[1]))
    quota = Quota(50, counts=counts)
    print(sum([await quota.take("ada", f"{sys.argv[2]}-{n}") is None for n in range(60)]))
    quota.close()

asyncio.run(main())
"""


@pytest.fixture
def counts(shared_sessions: Sessions) -> Iterator[RedisCounts]:
    made = RedisCounts(RedisServer(shared_sessions.address))
    yield made
    made.close()


def test_four_machines_let_exactly_as_many_in_as_the_limit_says(shared_sessions: Sessions) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, shared_sessions.address, name], stdout=subprocess.PIPE, text=True
        )
        for name in "abcd"
    ]
    assert sum(int(child.communicate(timeout=60)[0]) for child in children) == 50


async def test_a_limit_is_per_user_and_a_refused_request_does_not_count(counts: RedisCounts) -> None:
    quota = Quota(3, counts=counts)
    waits = [await quota.take("ada", f"{n}") for n in range(10)]
    assert waits[:3] == [None, None, None]
    assert all(wait is not None and 1 <= wait <= 60 for wait in waits[3:])
    assert await quota.take("bob", "b") is None
    assert await quota.take("ada", "again") is not None


async def test_tokens_are_held_before_they_are_spent(counts: RedisCounts) -> None:
    quota = Quota(1000, 3 * int(FIRST_GUESS_TOKENS), counts=counts)
    assert [await quota.take("ada", f"{n}") for n in range(20)].count(None) == 3
    quota.settle("0", 100, 50)
    quota.settle("1", 100, 50)
    assert await quota.take("ada", "20") is None, "what was held and not used is free again"
    quota.settle("2", 4_000, 500)
    wait = await quota.take("ada", "21")
    assert wait is not None and wait > 50
    quota.settle("unknown", 1)


def test_both_ways_of_counting_agree(counts: RedisCounts) -> None:
    embedded = SharedCounts()
    for limits in (RequestLimits(4), RequestLimits(None, 1000), RequestLimits(5, 900), RequestLimits(None)):
        for number in range(8):
            turn, tokens = f"{limits}{number}", 120.0 * (1 + number % 3)
            waits = [one.take(f"ada {limits}", turn, limits, tokens, 1_000.0) for one in (embedded, counts)]
            assert (waits[0] > 0) == (waits[1] > 0), (limits, number)
            assert waits[1] == pytest.approx(waits[0], abs=5.0)
            for one in (embedded, counts):
                one.settle(turn, tokens / 2)
    embedded.close()


def test_one_machine_at_a_time_has_a_clients_turn(counts: RedisCounts, shared_sessions: Sessions) -> None:
    other = RedisCounts(RedisServer(shared_sessions.address))
    assert counts.claim("ada", "t1", 30.0, 0.0)
    assert not other.claim("ada", "t1", 30.0, 0.0)
    assert other.claim("ada:t", "1", 30.0, 0.0)
    counts.release("ada", "t1")
    assert other.claim("ada", "t1", 0.001, 0.0)
    while not counts.claim("ada", "t1", 30.0, 0.0):
        pass  # a turn whose machine died is free in the end
    other.close()


async def test_turns_of_a_user_at_once_are_exact_over_machines(shared_sessions: Sessions) -> None:
    machines = [
        Quota(99, counts=RedisCounts(RedisServer(shared_sessions.address)), user_turns=3) for _ in "ab"
    ]
    with ExitStack() as running:
        places = [running.enter_context(machines[n % 2].place("ada", 60.0)) for n in range(6)]
        assert places == [True, True, True, False, False, False]
        with machines[1].place("bob", 60.0) as fits:
            assert fits
    with machines[0].place("ada", 60.0) as fits:
        assert fits, "places are given back"
    for machine in machines:
        machine.close()


@pytest.mark.parametrize("shared", [True, False])
def test_a_turn_gives_back_its_place_and_its_name_in_one_go(
    counts: RedisCounts, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = Quota(99, counts=counts if shared else SharedCounts(), user_turns=1)
    ask, questions = counts._server.ask, list[Any]()
    monkeypatch.setattr(
        counts._server, "ask", lambda question: (questions.append(question), ask(question))[1]
    )
    assert quota.claim("ada", "t1", 30.0)
    with quota.place("ada", 60.0, "t1") as fits:
        assert fits and not quota.claim("ada", "t1", 30.0)
        assert quota.claim("ada", "t2", 30.0)
        with quota.place("ada", 60.0, "t2") as second:
            assert not second
        assert quota.claim("ada", "t2", 30.0), "a turn that found no place is no longer under way"
        del questions[:]
    assert len(questions) == shared
    assert quota.claim("ada", "t1", 30.0)
    with quota.place("ada", 60.0, "t1", counted=False), quota.place("ada", 60.0) as fits:
        assert fits, "what is not counted takes no place"
    assert quota.claim("ada", "t1", 30.0)


def test_the_place_of_a_turn_whose_machine_died_is_free_in_the_end(counts: RedisCounts) -> None:
    for one, now in ((counts, 0.0), (SharedCounts(), 0.0)):
        assert one.enter("ada", "dead", 1, 0.001, now)
        while not one.enter("ada", "next", 1, now + 30.0, now):
            now += 0.001
        assert not one.enter("ada", "third", 1, now + 30.0, now)
        one.leave("ada", "next")
        assert one.enter("ada", "third", 1, now + 30.0, now)


async def test_alone_a_user_has_half_the_places(shared_sessions: Sessions) -> None:
    quota = Quota(99, counts=RedisCounts(RedisServer(GONE)), user_turns=4)
    with ExitStack() as running:
        assert [running.enter_context(quota.place("ada", 60.0)) for _ in range(4)] == [
            True,
            True,
            False,
            False,
        ]
    quota.close()


async def test_a_user_with_too_many_turns_elsewhere_is_told_to_wait(
    shared_sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_SESSIONS", shared_sessions.address)
    monkeypatch.setenv("ANSWERDECK_LIMITS__USER_TURNS", "1")
    other = build.counts(load_settings())
    assert other.enter("ada", "elsewhere", 1, 60.0, 0.0)
    pipeline = build.build(load_settings())
    try:
        events = [event async for event in pipeline.answer(Question("Hello there!", "ada", "api"))]
        assert [event.code for event in events if isinstance(event, Failed)] == ["too_many_turns"]
        other.leave("ada", "elsewhere")
        events = [event async for event in pipeline.answer(Question("Hello there!", "ada", "api"))]
        assert isinstance(events[-1], Answer)
        assert other.enter("ada", "later", 1, 60.0, 0.0), "a turn gives its place back"
    finally:
        await pipeline.close()
        other.close()


def test_nothing_stays_that_names_a_person(counts: RedisCounts) -> None:
    counts.take("ada", "1", RequestLimits(5), 10.0, 0.0)
    counts.claim("ada", "c", 30.0, 0.0)
    names = counts._server.ask(lambda server: server.keys("*"))
    assert len(names) == 4
    assert all(0 < counts._server.ask(lambda server, name=name: server.ttl(name)) <= 61 for name in names)


async def test_when_it_is_gone_turns_go_on_at_half_the_limit_and_nothing_doubles_after(
    shared_sessions: Sessions,
) -> None:
    clock = Clock()
    quota = Quota(10, counts=RedisCounts(RedisServer(shared_sessions.address, clock)))
    assert [await quota.take("ada", f"a{n}") for n in range(4)] == [None] * 4
    assert not quota.alone
    shared_sessions.kill()
    assert [await quota.take("ada", f"b{n}") for n in range(10)].count(None) == 5
    assert quota.alone
    assert quota.claim("ada", "t1", 30.0), "without the others a client's turn is taken on"
    quota.settle("a0", 5)
    quota.release("ada", "t1")
    shared_sessions.start()
    assert await quota.take("ada", "c") is not None, "it rests a moment before it asks again"
    clock.now += redis_server.REST_SECONDS
    assert [await quota.take("ada", f"a{n}") for n in range(12)].count(None) == 10
    assert not quota.alone
    quota.close()


async def test_a_server_that_throws_keys_away_is_not_counted_on(shared_sessions: Sessions) -> None:
    clock = Clock()
    server = RedisServer(shared_sessions.address, clock, exact=True)
    quota = Quota(10, counts=RedisCounts(server))

    def change(**settings: str) -> None:
        other = RedisServer(shared_sessions.address)
        for name, value in settings.items():
            other.ask(lambda client, name=name, value=value: client.config_set(name.replace("_", "-"), value))
        other.close()

    assert await quota.take("ada", "a") is None and not quota.alone
    change(maxmemory="3mb", maxmemory_policy="allkeys-lru")
    assert await quota.take("ada", "b") is None and not quota.alone  # looked at a moment ago
    clock.now += redis_server.LOOK_SECONDS
    assert [await quota.take("ada", f"c{n}") for n in range(10)].count(None) == 5
    assert quota.alone
    with pytest.raises(
        SessionsError, match=r"throws keys away when it is full \(maxmemory-policy allkeys-lru"
    ):
        server.check()
    change(maxmemory_policy="noeviction")
    clock.now += redis_server.REST_SECONDS
    await quota.take("ada", "d")
    assert not quota.alone
    quota.close()


@pytest.mark.parametrize("who", ["", ":wrong@", "eve:wrong@"])
def test_a_refused_password_is_one_plain_line(shared_sessions: Sessions, who: str) -> None:
    inside = RedisServer(shared_sessions.address)
    inside.ask(lambda client: client.config_set("requirepass", "right"))
    try:
        with pytest.raises(SessionsError, match="refuses the name or the password: put them") as caught:
            RedisServer(shared_sessions.address.replace("://", f"://{who}"), rests=Rest()).check()
        assert "wrong" not in str(caught.value) and "HELLO" not in str(caught.value)
    finally:
        inside.ask(lambda client: client.config_set("requirepass", ""))
        inside.close()


def test_a_replica_is_named_as_one(shared_sessions: Sessions) -> None:
    inside = RedisServer(shared_sessions.address)
    inside.ask(lambda client: client.replicaof("127.0.0.1", "1"))
    try:
        with pytest.raises(SessionsError, match="is a read-only replica: give the address of the primary"):
            RedisServer(shared_sessions.address, rests=Rest()).check()
    finally:
        inside.ask(lambda client: client.replicaof("NO", "ONE"))
        inside.close()


async def test_a_turn_says_that_it_was_counted_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_SESSIONS", GONE)
    pipeline = build.build(load_settings())
    try:
        async for _ in pipeline.answer(Question("Hello there!", "ada", "api")):
            pass
    finally:
        await pipeline.close()
    with pipeline.store.read() as ledger:
        spans = ledger.rows("select attributes from spans where name = 'limits'")
    assert spans == [{"attributes": {"alone": True}}]


def test_what_is_wrong_is_one_line_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    server = RedisServer(GONE)
    with pytest.raises(SessionsError, match=r"^redis://127\.0\.0\.1:1/0 cannot be used: ") as caught:
        server.check()
    server.close()
    assert "s3cret" not in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.setenv("ANSWERDECK_SESSIONS", GONE)
    (line,) = troubles(load_settings())
    assert line.startswith("sessions: redis://127.0.0.1:1/0 cannot be used") and "s3cret" not in line
    monkeypatch.setenv("ANSWERDECK_SESSIONS", "http://ada:s3cret@host")
    with pytest.raises(ConfigurationError, match="sessions: no such place") as wrong:
        load_settings()
    assert "s3cret" not in str(wrong.value)
    monkeypatch.setattr("pipeline.databases.redis_server.find_spec", lambda _: None)
    assert "answerdeck[redis]" in (redis_server.wrong(GONE) or "")
