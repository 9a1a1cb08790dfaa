"""Chooses the engine below the ledger by its address."""

from __future__ import annotations

from pathlib import Path

from traces.embedded import Embedded
from traces.engine import EMBEDDED, Engine


def engine(address: str, data_dir: Path) -> Engine:
    """Return the engine of an address: "embedded", or postgresql://...; raises ValueError."""
    problem = wrong(address)
    if problem is not None:
        raise ValueError(problem)
    return Embedded(data_dir)


def wrong(address: str) -> str | None:
    """Say what is wrong with an address, without repeating it (it may hold a password); None when fine."""
    if address == EMBEDDED:
        return None
    return 'no such engine; use "embedded"'
