"""One writer of a knowledge base at a time: in this process, on this machine, and among all machines."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from pipeline.errors import KnowledgeError
from pipeline.knowledge.tables import checked, make
from traces.errors import StoreError
from traces.postgres.lease import Lease, Leases

T = TypeVar("T")
log = logging.getLogger(__name__)
LOCK_SECONDS = 1800.0  # an ingestion of a large folder may take that long
LOCK_STEP_SECONDS = 0.1
LEASE_STEP_SECONDS = 1.0  # each try connects


@asynccontextmanager
async def lock(folder: Path, kb: str, leases: Leases | None = None) -> AsyncIterator[None]:
    """Be the only writer of the knowledge base, in this process and among others, on all machines.

    Waits for another writer to end; the lock of one that was killed becomes free by itself. `leases` are
    those of machines that share an object store.
    """
    handle = _lock_file(folder, kb)
    lease: Lease | None = None
    try:
        await _waited(lambda: _locked(handle), kb, LOCK_STEP_SECONDS)
        if leases is not None:
            lease = await _waited(lambda: _leased(leases, kb), kb, LEASE_STEP_SECONDS)
        yield
    except StoreError as error:
        raise KnowledgeError(f"who writes knowledge base {kb!r} cannot be asked: {error}", "shed") from error
    finally:
        if lease is not None:
            lease.release()
        os.close(handle)


async def _locked(handle: int) -> bool | None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    return True


async def _leased(leases: Leases, kb: str) -> Lease | None:
    """Try to take the lease, in a thread: a silent server holds nobody else up."""
    taking = asyncio.ensure_future(asyncio.to_thread(leases.take, f"knowledge base {kb}"))
    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError:
        taking.add_done_callback(_given_back)
        raise


def _given_back(taking: asyncio.Future[Lease | None]) -> None:
    """Give back a lease that came when nobody waited for it any more."""
    if not taking.cancelled() and taking.exception() is None and (lease := taking.result()) is not None:
        lease.release()


async def _waited(take: Callable[[], Awaitable[T | None]], kb: str, step: float) -> T:
    """Try until something is taken; raises KnowledgeError when that lasts too long."""
    for attempt in range(int(LOCK_SECONDS / step)):
        if (taken := await take()) is not None:
            return taken
        if attempt == 0:
            log.warning("knowledge base %r is being written, waiting for that to end", kb)
        await asyncio.sleep(step)
    raise KnowledgeError(f"knowledge base {kb!r} is being written by another process", "shed")


def _lock_file(folder: Path, kb: str) -> int:
    make(folder)
    return os.open(folder / f"{checked(kb)}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
