"""GET /api/knowledge: the knowledge bases one may ask, by the `kb` of a question."""

from __future__ import annotations

from fastapi import APIRouter, Response

from pipeline.http.access import User
from pipeline.http.replies import reply
from pipeline.turn import Pipeline


def routes(pipeline: Pipeline) -> APIRouter:
    """Return the routes of this resource."""
    router = APIRouter()

    @router.get("/api/knowledge")
    async def listing(person: User) -> Response:
        main = pipeline.workspaces.main(person.workspace, pipeline.rules.kb)
        names = await pipeline.bases(person.workspace)
        return reply({"knowledge": [{"kb": name, "main": name == main} for name in names]})

    return router
