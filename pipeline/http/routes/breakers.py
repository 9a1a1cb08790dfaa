"""/api/breakers: the breakers of this process, to look at and to switch."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from pipeline.auth import Person
from pipeline.errors import Refused
from pipeline.http.access import authorize
from pipeline.http.replies import reply
from pipeline.turn import Pipeline

Approver = Annotated[Person, authorize("approver", "isolate or release", whole=True)]


class Switch(BaseModel):
    """The body of POST /api/breakers/{name}."""

    model_config = ConfigDict(extra="forbid", strict=True)
    isolate: bool


def routes(pipeline: Pipeline) -> APIRouter:
    """Return the routes of this resource."""
    router = APIRouter()

    @router.get("/api/breakers", dependencies=[authorize("viewer", "see the breakers", whole=True)])
    async def listing() -> Response:
        return reply({"breakers": [report.to_dict() for report in pipeline.report()]})

    @router.post("/api/breakers/{name:path}")
    async def switch(name: str, body: Switch, person: Approver) -> Response:
        breaker = pipeline.breakers().get(name)
        if breaker is None:
            raise Refused("breaker_not_found", f"There is no breaker {name[:100]!r}.", status=404)
        if body.isolate:
            breaker.isolate(f"isolated by {person.name}")
        else:
            breaker.release(f"released by {person.name}")
        return reply(breaker.report().to_dict())

    return router
