"""/v1: the pipeline as a model that any OpenAI client can talk to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from fastapi import APIRouter, Request, Response

from pipeline.auth import Person
from pipeline.errors import Refused
from pipeline.events import Question
from pipeline.http import openai_protocol
from pipeline.http.access import User
from pipeline.http.openai_request import MODEL, Completions, json_key, question_of
from pipeline.http.replies import reply, whole
from pipeline.http.streaming import EventStream, attended, last
from pipeline.tasks import task
from pipeline.turn import Pipeline


def routes(pipeline: Pipeline, models: Sequence[str]) -> APIRouter:
    """Return the routes of this resource; operators may name one of the models."""
    router = APIRouter()

    def names(person: Person) -> list[str]:
        return [MODEL, *(dict.fromkeys(models) if person.operator else ())]

    @router.post("/v1/chat/completions")
    async def completions(body: Completions, person: User, request: Request) -> Response:
        model = body.model if body.model in models and person.operator else None
        question, form = _read(body, person, model)
        events = pipeline.answer(question)
        if body.stream:
            chunks = openai_protocol.Chunks.begin(body.stream_options.include_usage, form)
            return EventStream(events, chunks.encode, openai_protocol.DONE)
        shape = partial(openai_protocol.completion, form=form)
        return whole(await attended(last(events), request.receive), shape)

    @router.get("/v1/models")
    async def listing(person: User) -> Response:
        return reply(openai_protocol.models(names(person)))

    @router.get("/v1/models/{name}")
    async def model(name: str, person: User) -> Response:
        if name not in names(person):
            raise Refused("model_not_found", f"There is no model {name!r}.", status=404)
        return reply(openai_protocol.model(name))

    return router


def _read(body: Completions, person: Person, model: str | None) -> tuple[Question, openai_protocol.Form]:
    """Return the question, or the errand of a front end, and the form in which its answer is wanted."""
    request = question_of(body)
    errand = task(request.text, request.earlier, body.system, schema=body.schema_asked, most_tokens=body.cap)
    question = Question(
        request.text,
        user_id=person.name,
        door="openai" if errand is None else "task",
        model=model if errand is None else None,
        history=request.history,
        task=errand,
        max_output_tokens=body.cap,
        system=body.system,
        workspace=person.workspace,
    )
    if errand is not None:
        return question, openai_protocol.TEXT
    return question, openai_protocol.Form(json_key(body), request.unread)
