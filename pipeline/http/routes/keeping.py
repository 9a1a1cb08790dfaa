"""Keeping one's conversations: names, pins, files to take along, links for others."""

from __future__ import annotations

import asyncio
from functools import partial

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from pipeline.context.exported import Form, exported
from pipeline.context.memory import Memory
from pipeline.http.access import User
from pipeline.http.proxied import PREFIX
from pipeline.http.replies import reply
from pipeline.http.routes.conversations import missing


class Label(BaseModel):
    """The body of PATCH /api/conversations/{id}."""

    model_config = ConfigDict(extra="forbid", strict=True)
    title: str | None = Field(None, max_length=200)
    pinned: bool | None = None


class Share(BaseModel):
    """The body of POST /api/conversations/{id}/share."""

    model_config = ConfigDict(extra="forbid", strict=True)
    days: int = Field(7, ge=1, le=90)


def routes(memory: Memory) -> APIRouter:
    """Return the routes of this resource."""
    router = APIRouter()

    @router.patch("/api/conversations/{conversation_id}")
    async def label(conversation_id: str, change: Label, person: User) -> Response:
        history, values = memory.within(person.workspace).history, change.model_dump()
        if not await asyncio.to_thread(partial(history.label, person.name, conversation_id, **values)):
            raise missing()
        return reply({"conversation_id": conversation_id, **change.model_dump(exclude_none=True)})

    @router.get("/api/conversations/{conversation_id}/export")
    async def export(conversation_id: str, person: User, form: Form = "markdown") -> Response:
        file = await asyncio.to_thread(
            exported, memory.within(person.workspace), person.name, conversation_id, form
        )
        if file is None:
            raise missing()
        return Response(file.content, media_type=file.media_type, headers=file.headers)

    @router.post("/api/conversations/{conversation_id}/share")
    async def share(conversation_id: str, wish: Share, person: User, request: Request) -> Response:
        seconds = wish.days * 24 * 3600.0
        token = await asyncio.to_thread(
            memory.within(person.workspace).history.share, person.name, conversation_id, seconds
        )
        if token is None:
            raise missing()
        return reply({"path": f"{request.scope.get(PREFIX, '')}/shared/{token}", "days": wish.days})

    @router.delete("/api/conversations/{conversation_id}/share")
    async def unshare(conversation_id: str, person: User) -> Response:
        history = memory.within(person.workspace).history
        if await asyncio.to_thread(history.title, person.name, conversation_id) is None:
            raise missing()
        return reply({"ended": await asyncio.to_thread(history.unshare, person.name, conversation_id)})

    return router
