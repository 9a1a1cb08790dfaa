"""/v1: the pipeline as a model that any OpenAI client can talk to."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from pipeline.auth import Person
from pipeline.errors import Refused
from pipeline.events import Question
from pipeline.http import openai_protocol as protocol
from pipeline.http.access import User
from pipeline.http.replies import reply, whole
from pipeline.http.streaming import EventStream, attended, last
from pipeline.turn import Pipeline


def routes(pipeline: Pipeline, models: Sequence[str]) -> APIRouter:
    """Return the routes of this resource; operators may name one of the models."""
    router = APIRouter()

    def names(person: Person) -> list[str]:
        return [protocol.MODEL, *(dict.fromkeys(models) if person.operator else ())]

    @router.post("/v1/chat/completions")
    async def completions(asked: protocol.Request, person: User, request: Request) -> Response:
        text, history = protocol.conversation(asked)
        model = asked.model if asked.model in models and person.operator else None
        question = Question(
            text,
            user_id=person.name,
            door="openai",
            model=model,
            history=history,
            system=protocol.system(asked),
        )
        events = pipeline.answer(question)
        if asked.stream:
            options = asked.stream_options
            chunks = protocol.Chunks.begin(options is not None and options.include_usage)
            return EventStream(events, chunks.encode, protocol.DONE)
        return whole(await attended(last(events), request.receive), protocol.completion)

    @router.get("/v1/models")
    async def listing(person: User) -> Response:
        return reply(protocol.models(names(person)))

    @router.get("/v1/models/{name}")
    async def model(name: str, person: User) -> Response:
        if name not in names(person):
            raise Refused("model_not_found", f"There is no model {name!r}.", status=404)
        return reply(protocol.model(name))

    return router
