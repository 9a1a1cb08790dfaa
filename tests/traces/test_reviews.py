"""The queue of answers that the passages hardly support: the newest ones, and few rows read for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from tests.factories import make_score, make_trace
from traces.journal import Journal
from traces.queries import reviews
from traces.store import Store

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def days(store: Store, journal: Journal) -> list[str]:
    """Ten answers on each of six days, the older the less grounded; the newest hour is not drained yet."""
    ids: list[str] = []
    for n in range(60):
        trace = make_trace(started_at=NOON + timedelta(days=n // 10, minutes=n % 10), door="chat")
        ids.append(trace.turn.turn_id)
        journal.write(trace)
        journal.write(
            make_score(ids[-1], name="groundedness", source="online", value=0.1 * (n // 10), user_id=None)
        )
        if n == 55:
            store.drain()
    return ids


def test_of_very_many_answers_the_lowest_of_the_newest_wait(
    store: Store, days: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = partial(reviews.queue, which="low_groundedness", reviewer="ada", doors=("chat",))
    with store.read() as ledger:
        assert [row.turn_id for row in ask(ledger, limit=20)] == [*days[9::-1], *days[19:9:-1]]
    monkeypatch.setattr(reviews, "NEWEST", 15)
    with store.read() as ledger:
        assert [row.turn_id for row in ask(ledger, limit=30)] == [*days[49:39:-1], *days[:49:-1]]
        assert ask(ledger, doors=("api",)) == []
