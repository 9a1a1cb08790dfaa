"""/api/conversations: one's own conversations."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response

from pipeline.context.memory import Memory
from pipeline.errors import Refused
from pipeline.http.access import User
from pipeline.http.replies import reply

Search = Annotated[str, Query(max_length=200)]


def routes(memory: Memory) -> APIRouter:
    """Return the routes of this resource."""
    router = APIRouter()

    @router.get("/api/conversations")
    async def listing(person: User, search: Search = "") -> Response:
        rows = await asyncio.to_thread(
            memory.within(person.workspace).history.conversations, person.name, search=search
        )
        return reply({"conversations": rows})

    @router.get("/api/conversations/{conversation_id}")
    async def conversation(conversation_id: str, person: User) -> Response:
        turns = await asyncio.to_thread(
            memory.within(person.workspace).conversation, person.name, conversation_id
        )
        if turns is None:
            raise missing()
        return reply({"conversation_id": conversation_id, "turns": turns})

    @router.delete("/api/conversations/{conversation_id}")
    async def forget(conversation_id: str, person: User) -> Response:
        if not await asyncio.to_thread(memory.within(person.workspace).forget, person.name, conversation_id):
            raise missing()
        return reply({"conversation_id": conversation_id, "deleted": True})

    return router


def missing() -> Refused:
    return Refused("conversation_not_found", "There is no such conversation.", status=404)
