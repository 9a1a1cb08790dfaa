"""POST /api/feedback: a thumb about a turn of one's own."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from pipeline.http.access import User
from pipeline.http.replies import reply
from pipeline.http.routes.chat import Id
from pipeline.turn import Pipeline


class Thumb(BaseModel):
    """The body of POST /api/feedback."""

    model_config = ConfigDict(extra="forbid", strict=True)
    turn_id: Id
    value: Literal[1, -1]
    comment: str | None = Field(None, max_length=4000)
    tags: list[Annotated[str, Field(pattern=r"^[^,\x00-\x1f]{1,64}$")]] | None = Field(None, max_length=20)


def routes(pipeline: Pipeline) -> APIRouter:
    """Return the routes of this resource."""
    router = APIRouter()

    @router.post("/api/feedback")
    async def feedback(thumb: Thumb, person: User) -> Response:
        words = (thumb.comment, thumb.tags, person.workspace)
        score = await pipeline.feedback(thumb.turn_id, person.name, thumb.value, *words)
        return reply({"score_id": score.score_id, "turn_id": score.turn_id, "value": thumb.value})

    return router
