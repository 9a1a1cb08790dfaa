"""/api/memory: the facts that are remembered of oneself."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response

from pipeline.context.memory import Memory
from pipeline.errors import Refused
from pipeline.http.access import User
from pipeline.http.replies import reply


def routes(memory: Memory) -> APIRouter:
    """Return the routes of this resource."""
    router = APIRouter()

    @router.get("/api/memory")
    async def listing(person: User) -> Response:
        facts = await asyncio.to_thread(memory.within(person.workspace).facts, person.name)
        return reply({"facts": [fact.to_dict() for fact in facts]})

    @router.delete("/api/memory")
    async def forget_all(person: User) -> Response:
        return reply(
            {"deleted": await asyncio.to_thread(memory.within(person.workspace).forget_facts, person.name)}
        )

    @router.delete("/api/memory/{fact_id}")
    async def forget(fact_id: str, person: User) -> Response:
        deleted = await asyncio.to_thread(memory.within(person.workspace).forget_facts, person.name, fact_id)
        if not deleted:
            raise Refused("fact_not_found", "There is no such fact of yours.", status=404)
        return reply({"deleted": deleted})

    return router
