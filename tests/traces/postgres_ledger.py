"""A ledger in a fresh database of PostgreSQL, and the journal of its host: fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Databases
from traces.journal import Journal
from traces.store import Store


@pytest.fixture
def address(postgres: Databases) -> str:
    return postgres.fresh()


@pytest.fixture
def shared(address: str, tmp_path: Path) -> Store:
    return Store(tmp_path / "data", address)


@pytest.fixture
def alive(shared: Store) -> Iterator[Journal]:
    journal = Journal(shared.journal)
    yield journal
    journal.close()


def run(address: str, sql: str) -> list[Any]:
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []
