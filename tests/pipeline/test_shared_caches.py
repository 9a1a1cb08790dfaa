"""What machines tell each other through Redis: cached passages and answers, vectors, failing providers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipeline import build
from pipeline.breaker import Breaker, Transition
from pipeline.context.answers import AnswerCache, AnswerKey, KeptAnswer
from pipeline.context.cache import CacheScope, SemanticCache
from pipeline.context.shared_cache import ANSWERS, PASSAGES, SharedShelves
from pipeline.databases.redis_server import RedisServer
from pipeline.errors import SessionsError
from pipeline.knowledge.found import Retrieved, RetrievedChunk, Vector
from pipeline.news import News
from pipeline.places import places
from pipeline.settings import load_settings
from pipeline.shared_vectors import SharedVectors
from pipeline.troubles import troubles
from tests.databases import Sessions
from traces.places import DataSubject
from traces.records import Passage

ADA = CacheScope("ada", "answer@v1", "extractive", "g1")
QUESTION = "How do I pair the keyboard?"


def unit(*values: float) -> Vector:
    vector = np.zeros(384, np.float32)
    vector[: len(values)] = values
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def retrieved(question: str = QUESTION, vector: Vector | None = None, version: str = "kb-1") -> Retrieved:
    passage = Passage("", 1, "c1", "d1", "Pairing", "https://x", "Hold the key ü.", 1, vector_score=0.7)
    found = RetrievedChunk(passage, ((0, 15),), np.ones((1, 384), np.float32), (b"\x00\xff",))
    plain = RetrievedChunk(Passage("", 2, "c2", "d2", "Other", "", "Other."))
    return Retrieved(question, unit(1) if vector is None else vector, (found, plain), "kb", version, "minilm")


def caches(address: str, count: int = 2) -> list[SemanticCache]:
    return [
        SemanticCache(
            sample=0.0,
            shelves=SharedShelves(512, 64, RedisServer(address, texts=False), PASSAGES, "passages"),
        )
        for _ in range(count)
    ]


@pytest.fixture
def pair(shared_sessions: Sessions) -> Iterator[list[SemanticCache]]:
    both = caches(shared_sessions.address)
    yield both
    for cache in both:
        cache.close()


def test_passages_kept_on_one_machine_are_served_on_the_other(pair: list[SemanticCache]) -> None:
    north, south = pair
    assert south.find(ADA, QUESTION, unit(1), "kb", "kb-1") is None
    north.put(ADA, retrieved(), 0.25)
    hit = south.find(ADA, "how do I pair the keyboard", unit(1, 0.1), "kb", "kb-1")
    assert hit is not None and hit.seconds == 0.25
    first, second = hit.retrieved.candidates
    assert first.passage.text == "Hold the key ü." and first.spans == ((0, 15),)
    assert first.screened == (b"\x00\xff",) and first.vectors is not None
    assert np.array_equal(first.vectors, np.ones((1, 384), np.float32))
    assert second.vectors is None and second.passage.document_id == "d2"
    assert hit.retrieved.query == "how do I pair the keyboard", "it is this question's retrieval"


@pytest.mark.parametrize(
    ("scope", "version", "question"),
    [
        (CacheScope("bob", "answer@v1", "extractive", "g1"), "kb-1", QUESTION),
        (ADA, "kb-2", QUESTION),
        (ADA, "kb-1", "How do I reset the keyboard?"),
    ],
)
def test_nobody_is_served_from_another_scope_version_or_question(
    pair: list[SemanticCache], scope: CacheScope, version: str, question: str
) -> None:
    north, south = pair
    north.put(ADA, retrieved(), 0.1)
    assert south.find(scope, question, unit(1), "kb", version) is None


def test_answers_are_shared_and_one_that_proved_wrong_goes_everywhere(shared_sessions: Sessions) -> None:
    both = [
        AnswerCache(
            sample=0.0,
            shelves=SharedShelves(64, 64, RedisServer(shared_sessions.address, texts=False), ANSWERS, "a"),
        )
        for _ in range(3)
    ]
    asked = AnswerKey(ADA, "kb", "kb-1", "f", 500, ("c1",), QUESTION, unit(1))
    both[0].put(asked, KeptAnswer("Hold it. [1]", "openai:stub", 1.0, 0.01))
    hit = both[1].find(asked)
    assert hit is not None and hit.answer == KeptAnswer("Hold it. [1]", "openai:stub", 1.0, 0.01)
    both[1].drop(asked)
    assert both[1].find(asked) is None and both[2].find(asked) is None
    for cache in both:
        cache.close()


def test_an_erasure_empties_the_shared_caches(
    pair: list[SemanticCache], shared_sessions: Sessions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pair[0].put(ADA, retrieved(), 0.1)
    (place,) = [
        place
        for place in places(tmp_path, sessions=shared_sessions.address)
        if place.name == "caches of all machines"
    ]
    person = DataSubject("ada")
    assert place.left(person) == ["2 entries"]
    assert place.erase(person) == 2
    assert place.left(person) == []
    pair[0].put(ADA, retrieved(), 0.1)
    assert place.left(replace(person, erased_at="2026-01-01T00:00:00+00:00")) == []
    assert place.left(replace(person, erased_at="2126-01-01T00:00:00+00:00")) == ["1 entries"]
    place.erase(person)
    assert pair[1].find(ADA, QUESTION, unit(1), "kb", "kb-1") is None


def test_machines_with_the_same_documents_share_their_caches(
    shared_sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_SESSIONS", shared_sessions.address)
    own = build._cache(load_settings())
    assert own is not None and not isinstance(own._kept, SharedShelves)
    monkeypatch.setenv("ANSWERDECK_LEDGER", "postgresql://ada@host/turns")
    monkeypatch.setenv("ANSWERDECK_KNOWLEDGE__PLACE", "s3://bucket/kb")
    monkeypatch.setenv("ANSWERDECK_CACHE__ANSWERS", "true")
    shared, answers = build._cache(load_settings()), build._keeping(load_settings())
    assert shared is not None and isinstance(shared._kept, SharedShelves)
    assert answers is not None and isinstance(answers._answers._kept, SharedShelves)
    shared.close()
    answers.close()


def test_without_the_server_each_machine_has_its_own_and_it_comes_back(shared_sessions: Sessions) -> None:
    clock = [0.0]
    north, south = [
        SemanticCache(
            sample=0.0,
            shelves=SharedShelves(
                512, 64, RedisServer(shared_sessions.address, lambda: clock[0], texts=False), PASSAGES, "p"
            ),
        )
        for _ in range(2)
    ]
    shared_sessions.kill()
    north.put(ADA, retrieved(), 0.1)
    assert north.find(ADA, QUESTION, unit(1), "kb", "kb-1") is not None
    assert south.find(ADA, QUESTION, unit(1), "kb", "kb-1") is None
    shared_sessions.start()
    clock[0] += 10.0
    north.put(ADA, retrieved(), 0.2)
    hit = south.find(ADA, QUESTION, unit(1), "kb", "kb-1")
    assert hit is not None and hit.seconds == 0.2
    north.close()
    south.close()


def test_what_is_gone_or_spoilt_on_the_server_is_searched_afresh(
    pair: list[SemanticCache], shared_sessions: Sessions
) -> None:
    north, south = pair
    server = RedisServer(shared_sessions.address, texts=False)
    north.put(ADA, retrieved(), 0.1)
    north.put(ADA, retrieved("Where is the printer?", unit(0, 1)), 0.1)
    names = server.ask(lambda client: client.keys("answerdeck:cache:*:*:*"))
    assert len(names) == 2
    for name in server.ask(lambda client: client.keys("answerdeck:cache:*")):
        assert 0 < server.ask(lambda client, name=name: client.ttl(name)) <= 900
    server.ask(lambda client: client.delete(names[0]))
    server.ask(lambda client: client.set(names[1], b"{not json"))
    assert south.find(ADA, QUESTION, unit(1), "kb", "kb-1") is None
    assert south.find(ADA, "Where is the printer?", unit(0, 1), "kb", "kb-1") is None
    server.close()


def test_vectors_of_an_endpoint_are_asked_for_once(shared_sessions: Sessions) -> None:
    north, south, other = (
        SharedVectors(RedisServer(shared_sessions.address, texts=False), model) for model in "aab"
    )
    north.put(QUESTION, unit(1, 2))
    vector = south.get(QUESTION)
    assert vector is not None and np.array_equal(vector, unit(1, 2))
    assert other.get(QUESTION) is None
    server = RedisServer(shared_sessions.address)
    names = server.ask(lambda client: client.keys("*vector*"))
    assert len(names) == 1 and "keyboard" not in names[0], names
    for each in (north, south, other):
        each.close()
    server.close()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_breaker_that_opens_on_one_machine_makes_the_others_look(shared_sessions: Sessions) -> None:
    breaker, heard = Breaker("openai:stub"), list[str]()

    def hear(name: str, reason: str) -> None:
        heard.append(name)
        breaker.doubt(f"another machine: {reason}")

    north = News(RedisServer(shared_sessions.address), lambda *_: heard.append("own"))
    south = News(RedisServer(shared_sessions.address), hear)
    until(lambda: north._last is not None and south._last is not None)
    change = Transition("openai:stub", datetime.now(UTC), "closed", "open", "5 of 5 calls failed")
    north.tell(Transition("openai:stub", datetime.now(UTC), "open", "closed", "the probes succeeded"))
    north.tell(change)
    until(lambda: bool(heard))
    assert breaker.state == "half_open" and "another machine: 5 of 5" in breaker.history[-1].reason
    for _ in range(breaker.policy.probes):
        permit = breaker.admit()
        assert permit is not None
        permit.started(0.1)
        permit.left()
    assert breaker.state == "closed"
    breaker.doubt("another machine: again")
    assert breaker.state == "closed", "who was refuted is not heard again so soon"
    north.close()
    south.close()
    assert heard == ["openai:stub"]


def test_news_needs_no_server(shared_sessions: Sessions) -> None:
    shared_sessions.kill()
    news = News(RedisServer(shared_sessions.address), lambda *_: None)
    news.tell(Transition("m", datetime.now(UTC), "closed", "open", "failed"))
    until(lambda: not news._outgoing)
    news.close()


def test_a_server_that_evicts_or_cannot_be_written_is_named(
    shared_sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = RedisServer(shared_sessions.address)
    server.check()
    server.ask(lambda client: client.config_set("maxmemory-policy", "allkeys-lru"))
    server.check()  # without a limit of memory nothing is thrown away
    server.ask(lambda client: client.config_set("maxmemory", "100mb"))
    monkeypatch.setenv("ANSWERDECK_SESSIONS", shared_sessions.address)
    (line,) = troubles(load_settings())
    assert "throws keys away when it is full (maxmemory-policy allkeys-lru)" in line
    server.ask(lambda client: client.config_set("maxmemory", "0"))
    server.ask(lambda client: client.replicaof("127.0.0.1", "1"))
    with pytest.raises(SessionsError, match="is a read-only replica: give the address of the primary"):
        server.check()
    server.close()
