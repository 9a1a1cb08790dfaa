"""POST /api/chat: one question, its answer as a stream of events or as one object."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from pipeline.events import Answer, Question
from pipeline.http.access import User
from pipeline.http.frames import frame
from pipeline.http.problem import problem
from pipeline.http.replies import whole
from pipeline.http.streaming import EventStream, attended, last
from pipeline.text.languages import accepted
from pipeline.turn import Pipeline

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Ask(BaseModel):
    """The body of POST /api/chat."""

    model_config = ConfigDict(extra="forbid", strict=True)
    question: str = Field(min_length=1)
    conversation_id: Id | None = None
    client_turn_id: Id | None = None
    kb: Id | None = None


def routes(pipeline: Pipeline) -> APIRouter:
    """Return the routes of this resource."""
    router = APIRouter()

    @router.post("/api/chat")
    async def chat(ask: Ask, person: User, request: Request) -> Response:
        question = Question(
            ask.question,
            user_id=person.name,
            door="api",
            conversation_id=ask.conversation_id,
            client_turn_id=ask.client_turn_id,
            kb=ask.kb,
            workspace=person.workspace,
            tongue=accepted(request.headers.get("accept-language", "")),
        )
        if ask.kb is not None and not await pipeline.offers(person.workspace, ask.kb):
            return problem(404, "not_found", f"There is no knowledge base {ask.kb!r}.")
        events = pipeline.answer(question)
        accepts = request.headers.get("accept", "")
        if "application/json" not in accepts or "text/event-stream" in accepts:
            return EventStream(events, frame)
        return whole(await attended(last(events), request.receive), Answer.to_dict)

    return router
