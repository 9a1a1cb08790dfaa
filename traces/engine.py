"""What an engine below the ledger must do: DuckDB in a file here, PostgreSQL for several machines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from traces.ledger import Ledger
from traces.rows import Row

Tables = Mapping[str, Iterable[Row]]


class Connection(Protocol):
    """What takes the SQL that both engines share: one statement with `$name` values at a time."""

    def execute(self, query: str, parameters: Any = None, /) -> Any: ...


EMBEDDED = "embedded"


class Unfit(ValueError):
    """A row does not fit its table."""


class Stale(Exception):
    """Somebody else moved the marks since they were read."""


class StoreWindow(Protocol):
    """A store opened to write, for as short as can be."""

    def marks(self) -> dict[str, int]:
        """Return how far each segment of this journal has been drained."""
        ...

    def add(self, tables: Tables, ends: Mapping[str, int], seen: Mapping[str, int]) -> None:
        """Commit rows and marks together; raises Unfit, or Stale when the marks are not those `seen`."""
        ...

    def transaction(self) -> AbstractContextManager[object]:
        """Commit all that is done within it, or nothing."""
        ...

    def append(self, tables: Tables) -> None:
        """Append rows within a transaction; raises Unfit."""
        ...

    def mark(self, ends: Mapping[str, int]) -> None:
        """Set how far segments of this journal have been drained, within a transaction."""
        ...

    def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        """Ask the stored tables themselves, uncommitted rows included."""
        ...

    def has_turn(self, turn_id: str) -> bool:
        """Say whether the store holds a turn."""
        ...

    @property
    def shared(self) -> Connection:
        """The connection itself, for the SQL that both engines share."""
        ...

    def alone(self) -> None:
        """Let nobody else make rollups until the current transaction ends."""
        ...

    def rebuild(self) -> None:
        """Make all rollups anew out of the rows, within the current transaction."""
        ...

    def forget_texts(self, before: datetime) -> tuple[int, int]:
        """Forget the bulky texts of turns that started before a time; returns payloads, passages."""
        ...

    def erase_user(
        self, user_id: str, more_turns: Collection[str], cases: Collection[str]
    ) -> tuple[set[str], int]:
        """Delete a user's turns (and `more_turns`) with all that belongs to them; returns ids, scores."""
        ...


class Engine(Protocol):
    """Where drained rows live. What it raises are StoreErrors."""

    name: str  # for messages; holds no password
    schema: str  # where a reader finds the stored tables themselves, without the live tail
    remedy: str  # what to do about each of `put_aside`, as the rest of a sentence

    def exists(self) -> bool:
        """Say whether there is a store; one that cannot be asked counts as there."""
        ...

    def begin(self) -> None:
        """Get ready for the first window: keep what a change of the schema could spoil."""
        ...

    def window(self) -> AbstractContextManager[StoreWindow]:
        """Open the store to write; its schema is brought up to date."""
        ...

    def tend(self) -> None:
        """Do a piece of what is to be caught up beside the store, between two windows."""
        ...

    def settled(self) -> bool:
        """Say whether all that was committed would survive a power cut."""
        ...

    def suspect(self, reason: str) -> None:
        """Leave word that a reader found the store damaged."""
        ...

    def suspected(self) -> bool:
        """Say whether somebody left word."""
        ...

    def quarantine(self) -> str:
        """Put a damaged store aside; returns its new name."""
        ...

    def reading(
        self, tail_bytes: int, *, exporting: bool, workspace: str | None
    ) -> AbstractContextManager[Ledger]:
        """Open the ledger: drained rows and the journal's live tail as one, a workspace's own alone."""
        ...

    def survey(self) -> None:
        """Count anew what queries are planned by, after much was added at once."""
        ...

    def index_anew(self) -> None:
        """Make the index of words anew, all of it."""
        ...

    def compact(self) -> None:
        """Leave nothing behind of what was deleted."""
        ...

    def put_aside(self) -> tuple[str, ...]:
        """Name what may still hold erased rows and is out of reach."""
        ...
