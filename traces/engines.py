"""Chooses the engine below the ledger by its address."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from traces.embedded import Embedded
from traces.engine import EMBEDDED, Engine

SCHEMES = ("postgresql", "postgres")


def engine(address: str, data_dir: Path) -> Engine:
    """Return the engine of an address: "embedded", or postgresql://...; raises ValueError."""
    problem = wrong(address)
    if problem is not None:
        raise ValueError(problem)
    if address == EMBEDDED:
        return Embedded(data_dir)
    from traces.postgres.engine import Postgres

    return Postgres(address, data_dir / "journal")


def wrong(address: str) -> str | None:
    """Say what is wrong with an address, without repeating it (it may hold a password); None when fine."""
    if address == EMBEDDED:
        return None
    try:
        parts = urlsplit(address)
        fits = parts.scheme in SCHEMES and bool(parts.path.strip("/")) and (parts.port or 1) > 0
    except ValueError:
        fits = False
    if not fits:
        return 'no such engine; use "embedded" or postgresql://user@host:port/database'
    if find_spec("psycopg") is None:
        return 'PostgreSQL needs its driver: pip install "answerdeck[postgres]"'
    return None
