"""/documents: the page's way to what its reader brought; the same answers as /api/documents."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from console.chat import edge, links
from console.chat.brand import Brand
from pipeline.http.routes.documents import Documents, Name, Owner
from pipeline.own_documents.spaces import Spaces


def serve(app: FastAPI, spaces: Spaces | None, look: Brand) -> None:
    """Add the addresses to the application."""
    documents = Documents(spaces)

    def owner(request: Request) -> Owner:
        tongue = links.tongue(request.headers.get("accept-language", ""), look)
        return Owner(edge.name(request), edge.workspace(request), tongue)

    @app.get("/documents")
    async def listing(request: Request) -> Response:
        return await documents.listed(owner(request))

    @app.post("/documents")
    async def add(request: Request, name: Name) -> Response:
        return await documents.take(owner(request), name, request)
