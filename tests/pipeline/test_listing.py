"""Names in an object store: believed for a moment, never waited for long, asked again after a rest."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pipeline.errors import KnowledgeError
from pipeline.knowledge import listing
from pipeline.knowledge.listing import FRESH_SECONDS, REST_SECONDS, NameListing
from pipeline.rehearsal.clock import Clock


class Store:
    """An object store that may be silent or refuse."""

    def __init__(self) -> None:
        self.names = ["valves"]
        self.asked = 0
        self.talks = threading.Event()
        self.talks.set()
        self.refuses = False

    def ask(self) -> list[str]:
        self.asked += 1
        self.talks.wait(20)
        if self.refuses:
            raise RuntimeError("403 Forbidden")
        return list(self.names)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(listing, "WAIT_SECONDS", 0.3)
    store = Store()
    yield store
    store.talks.set()


def eventually(names: NameListing, clock: Clock) -> bool:
    """Ask again and again, always after a rest, until the store answers."""
    while True:
        clock.now += REST_SECONDS
        try:
            return names.holds("valves")
        except (KnowledgeError, RuntimeError):
            continue


def test_names_are_believed_for_a_moment(store: Store) -> None:
    clock = Clock()
    names = NameListing(store.ask, clock)
    assert names.holds("valves") and not names.holds("pumps")
    store.names = ["pumps"]
    assert not names.holds("pumps") and store.asked == 1
    clock.now += FRESH_SECONDS
    assert names.holds("pumps") and store.asked == 2
    names.forget()
    assert not names.holds("valves") and store.asked == 3


def test_a_silent_store_is_not_waited_for_twice_and_asked_once(store: Store) -> None:
    clock = Clock()
    names = NameListing(store.ask, clock)
    store.talks.clear()
    for _ in range(2):
        for _ in range(3):
            with pytest.raises(KnowledgeError, match="did not answer within"):
                names.holds("valves")
        clock.now += REST_SECONDS
    assert store.asked == 1
    store.talks.set()
    assert eventually(names, clock) and store.asked == 1, "what was asked first is heard in the end"


def test_a_refusal_is_kept_for_a_while(store: Store) -> None:
    clock = Clock()
    names = NameListing(store.ask, clock)
    store.refuses = True
    for _ in range(3):
        with pytest.raises(RuntimeError, match="403"):
            names.holds("valves")
    assert store.asked == 1
    store.refuses = False
    assert eventually(names, clock)
