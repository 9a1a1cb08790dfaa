"""A store and a journal on the test's own folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from traces.journal import Journal
from traces.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


@pytest.fixture
def journal(store: Store) -> Iterator[Journal]:
    journal = Journal(store.journal)
    yield journal
    journal.close()
