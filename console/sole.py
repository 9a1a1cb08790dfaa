"""Keeps people's own documents to one machine: others may share its ledger, but not what lies on its disk."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import ConfigurationError
from pipeline.settings import Settings
from traces.election import Election
from traces.engine import EMBEDDED
from traces.errors import StoreError
from traces.postgres.lease import Lease, Leases

log = logging.getLogger(__name__)
NAME = "uploads"


@contextmanager
def sole(settings: Settings) -> Iterator[None]:
    """Hold the documents for this machine meanwhile; raises ConfigurationError while another one does.

    Of several servers on one data folder the first holds them for all.
    """
    ledger = settings.ledger.get_secret_value()
    if settings.chat.uploads == "off" or ledger == EMBEDDED:
        yield
        return
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with Election(settings.data_dir / f"{NAME}.lock").won() as first:
        lease = _taken(ledger) if first else None
        try:
            yield
        finally:
            if lease is not None:
                lease.release()


def _taken(ledger: str) -> Lease | None:
    """Return the lease; None when the database cannot be asked: turns are answered without it, too."""
    try:
        lease = Leases(ledger).take(NAME)
    except StoreError as error:
        log.warning("whether another machine has people's own documents cannot be looked up: %s", error)
        return None
    if lease is None:
        raise ConfigurationError(
            [
                "chat.uploads: people's own documents lie in the data folder of one machine, and another one"
                " on this ledger has them; set ANSWERDECK_CHAT__UPLOADS=off here, or stop the other one"
            ]
        )
    return lease
