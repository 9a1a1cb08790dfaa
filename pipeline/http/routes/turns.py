"""GET /api/turns/{id}: the trace of any turn, for operators."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any

from fastapi import APIRouter, Response

from pipeline.auth import Person
from pipeline.errors import Refused
from pipeline.http.access import authorize
from pipeline.http.replies import reply
from traces.errors import TracesError
from traces.queries.turns import trace
from traces.store import Store

Operator = Annotated[Person, authorize("editor", "read a turn")]
log = logging.getLogger(__name__)


def routes(store: Store) -> APIRouter:
    """Return the routes of this resource."""
    router = APIRouter()

    @router.get("/api/turns/{turn_id}")
    async def turn(turn_id: str, person: Operator) -> Response:
        row = await asyncio.to_thread(_trace, store, turn_id, person.workspace)
        if row is None:
            raise Refused("turn_not_found", f"There is no turn {turn_id[:64]!r}.", status=404)
        return reply(row)

    return router


def _trace(store: Store, turn_id: str, workspace: str) -> Any:
    try:
        with store.read() as ledger:
            return trace(ledger, turn_id, workspace)
    except TracesError as error:
        log.warning("the trace store cannot be read: %s", error)
        message = "The trace store cannot be read right now. Please try again."
        raise Refused("store_unreadable", message, status=503, retry_after=2.0) from None
