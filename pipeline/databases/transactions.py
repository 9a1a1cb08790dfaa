"""Transactions of the small databases: wholly or not at all, and nobody else's comes between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Executing(Protocol):
    """A database of this machine, or one that all machines share."""

    def execute(self, statement: str, /) -> Any: ...


@contextmanager
def transaction(db: Executing) -> Iterator[None]:
    """Do all that is done within it, or nothing."""
    db.execute("begin immediate")
    try:
        yield
    except BaseException:  # rolled back, and passed on
        db.execute("rollback")
        raise
    db.execute("commit")
