"""Addresses beside the page: conversations as files, and links to read what somebody shared."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from console.chat import edge, markup
from console.chat.brand import Brand
from pipeline.context.exported import Form, exported
from pipeline.context.memory import Memory
from pipeline.http.problem import problem
from pipeline.text.languages import accepted

_PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def serve(app: FastAPI, memory: Memory, look: Brand) -> None:
    """Add the addresses to the application."""

    @app.get("/conversations/{conversation_id}/export")
    async def export(conversation_id: str, request: Request, form: Form = "markdown") -> Response:
        file = await asyncio.to_thread(
            exported, memory.within(edge.workspace(request)), edge.name(request), conversation_id, form
        )
        if file is None:
            return problem(404, "conversation_not_found", "There is no such conversation.")
        return Response(file.content, media_type=file.media_type, headers=file.headers)

    @app.get("/shared/{token}")
    async def shared(token: str, request: Request) -> Response:
        history = memory.within(edge.workspace(request)).history
        conversation = await asyncio.to_thread(history.shared, token)
        code = tongue(request.headers.get("accept-language", ""), look)
        title, turns = conversation or (look.name, [])
        page = markup.render(
            "shared.html", title=title, turns=[_shown(turn, code) for turn in turns], brand=look, tongue=code
        )
        return HTMLResponse(page, 200 if conversation else 404, headers=_PRIVATE)


def tongue(header: str, look: Brand) -> str:
    """Return the language of a reader: the configured one, or the browser's."""
    return (accepted(header) or "en") if look.language == "auto" else look.language


def _shown(turn: Mapping[str, Any], tongue: str) -> dict[str, Any]:
    titles = {citation["n"]: citation["title"] for citation in turn["citations"]}
    sources = [
        {"n": c["n"], "title": c["title"], "url": markup.web_address(c["url"])} for c in turn["citations"]
    ]
    return {
        "question": turn["question"],
        "html": markup.answer(turn["answer"], turn["turn_id"], titles, tongue),
        "notice": turn["notice"],
        "sources": sources,
    }
