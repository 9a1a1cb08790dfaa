"""/api/documents: one's own documents, which nobody else finds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.requests import ClientDisconnect

from pipeline import notices
from pipeline.context.uploads import Upload
from pipeline.errors import Refused
from pipeline.http.access import User
from pipeline.http.problem import problem
from pipeline.http.replies import reply
from pipeline.own_documents.spaces import Spaces
from pipeline.text.languages import accepted

ARRIVE_SECONDS = 300.0  # for one file
Name = Annotated[str, Query(min_length=1, max_length=1000)]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose documents are spoken of, and in which language."""

    user_id: str
    workspace: str
    tongue: str | None


class Documents:
    """Answers about people's own documents, for the API and for the chat page."""

    def __init__(self, spaces: Spaces | None) -> None:
        self._spaces = spaces

    async def listed(self, owner: Owner) -> Response:
        """Return the owner's files and what may be added."""
        spaces = self._open()
        uploads = await asyncio.to_thread(spaces.listed, owner.user_id, owner.workspace)
        bounds = {"bytes": spaces.bounds.bytes, "files": spaces.bounds.files, "pages": spaces.bounds.pages}
        return reply({"documents": [self._shown(upload, owner) for upload in uploads], "limits": bounds})

    async def take(self, owner: Owner, name: str, request: Request) -> Response:
        """Take a file in, the whole body; 202, since it is read afterwards."""
        spaces = self._open()
        try:
            async with asyncio.timeout(ARRIVE_SECONDS):
                upload = await spaces.take(owner.user_id, owner.workspace, name, _pieces(request))
        except TimeoutError:
            return problem(408, "slow_body", "The request took too long to arrive.")
        except ClientDisconnect:
            return Response(status_code=499)
        except Refused as refused:
            sentence = notices.spoken(str(refused), owner.tongue)
            return problem(refused.status, refused.code, sentence)
        return reply(self._shown(upload, owner), 202)

    async def remove(self, owner: Owner, document_id: str) -> Response:
        """Remove one of the owner's files with all it brought."""
        if not await self._open().remove(owner.user_id, owner.workspace, document_id):
            raise Refused("document_not_found", "There is no such document of yours.", status=404)
        return reply({"document_id": document_id, "deleted": True})

    def _open(self) -> Spaces:
        if self._spaces is None:
            raise Refused("no_uploads", notices.NO_UPLOADS, status=404)
        return self._spaces

    def _shown(self, upload: Upload, owner: Owner) -> dict[str, Any]:
        sentence = self._open().sentence(upload)
        return {
            "document_id": upload.upload_id,
            "name": upload.name,
            "bytes": upload.bytes,
            "pages": upload.pages,
            "state": upload.state,
            "added_at": upload.added_at,
            "notice": None if sentence is None else notices.spoken(sentence, owner.tongue),
        }


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        yield piece


def routes(documents: Documents) -> APIRouter:
    """Return the routes of this resource."""
    router = APIRouter()

    def owner(person: User, request: Request) -> Owner:
        tongue = accepted(request.headers.get("accept-language", ""))
        return Owner(person.name, person.workspace, tongue)

    @router.get("/api/documents")
    async def listing(person: User, request: Request) -> Response:
        return await documents.listed(owner(person, request))

    @router.post("/api/documents")
    async def add(person: User, request: Request, name: Name) -> Response:
        return await documents.take(owner(person, request), name, request)

    @router.delete("/api/documents/{document_id}")
    async def remove(document_id: str, person: User, request: Request) -> Response:
        return await documents.remove(owner(person, request), document_id)

    return router
