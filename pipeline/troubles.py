"""What the settings name elsewhere and cannot be used now, in a line each; the chat starts all the same."""

from __future__ import annotations

from pipeline.build import sessions, store
from pipeline.errors import SessionsError
from pipeline.settings import Settings
from traces.engine import EMBEDDED
from traces.errors import StoreError
from traces.postgres.schema import check_writable


def ledger_trouble(settings: Settings) -> str | None:
    """Say in one line why a ledger elsewhere cannot be used now; None when it can, or is embedded."""
    address = settings.ledger.get_secret_value()
    if address == EMBEDDED:
        return None
    try:
        check_writable(address)
        with store(settings).read():
            return None
    except StoreError as error:
        return f"ledger: {error}; turns are kept in the journal until it can be used"


def sessions_trouble(settings: Settings) -> str | None:
    """Say in one line why the machines cannot count together now; None when they can, or are one."""
    server = sessions(settings)
    if server is None:
        return None
    try:
        server.check()
    except SessionsError as error:
        return f"sessions: {error}; until then each process counts limits by itself, at half their height"
    finally:
        server.close()
    return None


def troubles(settings: Settings) -> list[str]:
    """Name the engines elsewhere that cannot be used now, a line each; the chat starts all the same."""
    return [line for line in (ledger_trouble(settings), sessions_trouble(settings)) if line is not None]
