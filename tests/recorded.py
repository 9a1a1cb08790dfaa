"""Records turns in a store's journal and says which ones a reader sees."""

from __future__ import annotations

from tests.factories import make_trace
from traces.journal import Journal
from traces.store import Store


def record(journal: Journal, turns: int) -> list[str]:
    """Record some turns; returns their ids in order."""
    made = [make_trace() for _ in range(turns)]
    for each in made:
        journal.write(each)
    return sorted(each.turn.turn_id for each in made)


def ids(store: Store) -> list[str]:
    """Return the ids of all turns a reader sees, in order."""
    with store.read() as ledger:
        return [row["turn_id"] for row in ledger.rows("select turn_id from turns order by turn_id")]
