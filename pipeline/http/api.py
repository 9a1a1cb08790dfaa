"""The HTTP API: chat, the OpenAI protocol, feedback, conversations, health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import Annotated, Any, Literal

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from pipeline.auth import Keys, Person
from pipeline.errors import ConversationsError, KnowledgeError, Refused
from pipeline.events import Answer, Delta, Event, Failed, Question, Retract, Sources, Started, public
from pipeline.http import openai_protocol as protocol
from pipeline.http.health import Health
from pipeline.http.metrics import Metrics
from pipeline.http.middleware import COOKIE, PERSON, Border, cookie
from pipeline.http.origins import Origins
from pipeline.http.problem import body as error_body
from pipeline.http.problem import headers, problem, status_of
from pipeline.http.stopping import gently
from pipeline.http.streaming import EventStream, attended, last
from pipeline.settings import Settings
from pipeline.turn import Pipeline
from traces.errors import TracesError
from traces.queries.turns import trace

log = logging.getLogger(__name__)
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_LOGIN = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Answerdeck</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px system-ui;max-width:22rem;margin:18vh auto;padding:0 1rem;color-scheme:light dark}}
input,button{{font:inherit;width:100%;box-sizing:border-box;padding:.6rem;margin:.4rem 0}}</style>
<h1>Answerdeck</h1><form method="post"><label>Your key
<input name="key" type="password" autocomplete="current-password" autofocus required></label>
<button>Sign in</button></form><p role="alert">{message}</p></html>"""


class Ask(BaseModel):
    """The body of POST /api/chat."""

    model_config = ConfigDict(extra="forbid", strict=True)
    question: str = Field(min_length=1)
    conversation_id: Id | None = None
    client_turn_id: Id | None = None
    kb: Id | None = None


class Thumb(BaseModel):
    """The body of POST /api/feedback."""

    model_config = ConfigDict(extra="forbid", strict=True)
    turn_id: Id
    value: Literal[1, -1]
    comment: str | None = Field(None, max_length=4000)
    tags: list[Annotated[str, Field(pattern=r"^[^,\x00-\x1f]{1,64}$")]] | None = Field(None, max_length=20)


def create_app(
    pipeline: Pipeline,
    settings: Settings,
    *,
    prepare: Callable[[Pipeline], Awaitable[None]] | None = None,
    gentle: bool = False,
) -> FastAPI:
    """Return the application with all routes, behind the border.

    `prepare` runs once in the background after the start; `/readyz` says 503 until it is done. With
    `gentle`, signals let the running turns end first.
    """
    health = Health(pipeline)
    metrics = Metrics(pipeline)
    pipeline.observers.append(metrics.observe)
    keys = Keys(settings.auth.keys.get_secret_value())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work) for work in (health.prepare(prepare), metrics.keep_fresh())]
        with gently(pipeline, settings.limits.stop_seconds) if gentle else nullcontext():
            yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await pipeline.close()

    app = FastAPI(title="Answerdeck", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(
        Border, body_bytes=settings.limits.body_bytes, keys=keys, origins=Origins(settings.server.origins)
    )
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(ConversationsError, _unreadable)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    _chat(app, pipeline)
    _openai(app, pipeline, settings)
    _history(app, pipeline)
    _operations(app, pipeline, health, metrics)
    _breakers(app, pipeline)
    if keys:
        _login(app, keys)
    return app


def _chat(app: FastAPI, pipeline: Pipeline) -> None:
    @app.post("/api/chat")
    async def chat(ask: Ask, request: Request) -> Response:
        question = Question(
            ask.question,
            user_id=_person(request).name,
            door="api",
            conversation_id=ask.conversation_id,
            client_turn_id=ask.client_turn_id,
            kb=ask.kb,
        )
        if ask.kb is not None and not _exists(pipeline, ask.kb):
            return problem(404, "not_found", f"There is no knowledge base {ask.kb!r}.")
        events = pipeline.answer(question)
        accepts = request.headers.get("accept", "")
        if "application/json" not in accepts or "text/event-stream" in accepts:
            return EventStream(events, frame)
        return _whole(await attended(last(events), request.receive), Answer.to_dict)

    @app.post("/api/feedback")
    async def feedback(thumb: Thumb, request: Request) -> Response:
        name = _person(request).name
        score = await pipeline.feedback(thumb.turn_id, name, thumb.value, thumb.comment, thumb.tags)
        return _json({"score_id": score.score_id, "turn_id": score.turn_id, "value": thumb.value})


def _exists(pipeline: Pipeline, kb: str) -> bool:
    try:
        return pipeline.knowledge.exists(kb)
    except KnowledgeError:  # no name for one
        return False


def _openai(app: FastAPI, pipeline: Pipeline, settings: Settings) -> None:
    real = [name for name in (settings.models.primary, settings.models.fallback, "extractive") if name]

    def names(person: Person) -> list[str]:
        return [protocol.MODEL, *(dict.fromkeys(real) if person.operator else ())]

    @app.post("/v1/chat/completions")
    async def completions(asked: protocol.Request, request: Request) -> Response:
        person = _person(request)
        text, history = protocol.conversation(asked)
        model = asked.model if asked.model in real and person.operator else None
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
        return _whole(await attended(last(events), request.receive), protocol.completion)

    @app.get("/v1/models")
    async def models(request: Request) -> Response:
        return _json(protocol.models(names(_person(request))))

    @app.get("/v1/models/{name}")
    async def model(name: str, request: Request) -> Response:
        if name not in names(_person(request)):
            raise Refused("model_not_found", f"There is no model {name!r}.", status=404)
        return _json(protocol.model(name))


def _history(app: FastAPI, pipeline: Pipeline) -> None:
    memory = pipeline.memory

    @app.get("/api/conversations")
    async def conversations(request: Request) -> Response:
        found = await asyncio.to_thread(memory.conversations, _person(request).name)
        return _json({"conversations": found})

    @app.get("/api/conversations/{conversation_id}")
    async def conversation(conversation_id: str, request: Request) -> Response:
        turns = await asyncio.to_thread(memory.conversation, _person(request).name, conversation_id)
        if turns is None:
            raise _no_conversation()
        return _json({"conversation_id": conversation_id, "turns": turns})

    @app.delete("/api/conversations/{conversation_id}")
    async def forget(conversation_id: str, request: Request) -> Response:
        if not await asyncio.to_thread(memory.forget, _person(request).name, conversation_id):
            raise _no_conversation()
        return _json({"conversation_id": conversation_id, "deleted": True})

    _facts(app, pipeline)

    @app.get("/api/turns/{turn_id}")
    async def turn(turn_id: str, request: Request) -> Response:
        if not _person(request).operator:
            raise Refused("forbidden", "Only operators may read a turn.", status=403)
        found = await asyncio.to_thread(_trace, pipeline, turn_id)
        if found is None:
            raise Refused("turn_not_found", f"There is no turn {turn_id[:64]!r}.", status=404)
        return _json(found)


def _facts(app: FastAPI, pipeline: Pipeline) -> None:
    memory = pipeline.memory

    @app.get("/api/memory")
    async def facts(request: Request) -> Response:
        kept = await asyncio.to_thread(memory.facts, _person(request).name)
        return _json({"facts": [fact.to_dict() for fact in kept]})

    @app.delete("/api/memory")
    async def forget_all(request: Request) -> Response:
        return _json({"deleted": await asyncio.to_thread(memory.forget_facts, _person(request).name)})

    @app.delete("/api/memory/{fact_id}")
    async def forget_one(fact_id: str, request: Request) -> Response:
        deleted = await asyncio.to_thread(memory.forget_facts, _person(request).name, fact_id)
        if not deleted:
            raise Refused("fact_not_found", "There is no such fact of yours.", status=404)
        return _json({"deleted": deleted})


def _operations(app: FastAPI, pipeline: Pipeline, health: Health, metrics: Metrics) -> None:
    @app.get("/healthz")
    async def alive() -> Response:
        return _json({"status": "alive"})

    @app.get("/readyz")
    async def ready(request: Request) -> Response:
        person: Person | None = request.scope[PERSON]
        report = await health.report(details=person is not None and person.may("viewer"))
        return _json(report, 200 if report["ready"] else 503)

    @app.get("/metrics")
    async def numbers(request: Request) -> Response:
        if not _person(request).may("viewer"):
            raise Refused("forbidden", "Only viewers and operators may read the metrics.", status=403)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


class Switch(BaseModel):
    """The body of POST /api/breakers/{name}."""

    model_config = ConfigDict(extra="forbid", strict=True)
    isolate: bool


def _breakers(app: FastAPI, pipeline: Pipeline) -> None:
    @app.get("/api/breakers")
    async def breakers(request: Request) -> Response:
        if not _person(request).may("viewer"):
            raise Refused("forbidden", "Only viewers and operators may see the breakers.", status=403)
        return _json({"breakers": pipeline.report()})

    @app.post("/api/breakers/{name:path}")
    async def switch(name: str, asked: Switch, request: Request) -> Response:
        person = _person(request)
        if not person.may("approver"):
            raise Refused("forbidden", "Only approvers may isolate or release.", status=403)
        breaker = pipeline.breakers().get(name)
        if breaker is None:
            raise Refused("breaker_not_found", f"There is no breaker {name[:100]!r}.", status=404)
        if asked.isolate:
            breaker.isolate(f"isolated by {person.name}")
        else:
            breaker.release(f"released by {person.name}")
        return _json(breaker.report())


def _login(app: FastAPI, keys: Keys) -> None:
    @app.get("/login")
    async def page() -> Response:
        return HTMLResponse(_LOGIN.format(message=""))

    @app.post("/login")
    async def login(request: Request) -> Response:
        form = await request.form()
        person = keys.person(str(form.get("key", "")).strip())
        if person is None:
            await asyncio.sleep(0.5)
            return HTMLResponse(_LOGIN.format(message="This key is not known."), 401)
        response = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, keys.begin(person), httponly=True, samesite="lax", secure=secure)
        return response

    @app.post("/logout")
    async def logout(request: Request) -> Response:
        keys.end(cookie(request.headers.get("cookie", "")) or "")
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE)
        return response


def frame(event: Event) -> bytes:
    """Return an event of a turn as a server-sent event."""
    if isinstance(event, Delta):
        return b"event: delta\ndata: " + orjson.dumps({"text": event.text}) + b"\n\n"
    if isinstance(event, Started):
        return _frame("turn", {"turn_id": event.turn_id, "conversation_id": event.conversation_id})
    if isinstance(event, Sources):
        return _frame("sources", [public(passage) for passage in event.passages])
    if isinstance(event, Retract):
        return _frame("retract", {"text": event.text, "reason": event.reason})
    if isinstance(event, Answer):
        return _frame("done", event.to_dict())
    told = {"code": event.code, "message": event.message, "turn_id": event.turn_id}
    more = {} if event.retry_after is None else {"retry_after": event.retry_after}
    return _frame("error", told | more)


def _frame(name: str, data: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"


def _whole(event: Event | None, shape: Callable[[Answer], dict[str, Any]]) -> Response:
    """Return a finished turn as one JSON object; None means that nobody waits any more."""
    if event is None:
        return Response(status_code=499)
    if isinstance(event, Answer):
        return _json(shape(event))
    failed = event if isinstance(event, Failed) else Failed("internal", "The turn has no end.", None)
    status = status_of(failed.code)
    told = error_body(
        failed.code, failed.message, status, turn_id=failed.turn_id, retry_after=failed.retry_after
    )
    return _json(told, status, headers(failed.retry_after))


def _json(value: Any, status: int = 200, more: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, more, media_type="application/json")


def _person(request: Request) -> Person:
    return request.scope[PERSON]


def _trace(pipeline: Pipeline, turn_id: str) -> Any:
    try:
        with pipeline.store.read() as ledger:
            return trace(ledger, turn_id)
    except TracesError as error:
        log.warning("the trace store cannot be read: %s", error)
        message = "The trace store cannot be read right now. Please try again."
        raise Refused("store_unreadable", message, status=503, retry_after=2.0) from None


def _no_conversation() -> Refused:
    return Refused("conversation_not_found", "There is no such conversation.", status=404)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return problem(error.status, error.code, str(error), retry_after=error.retry_after)


async def _unreadable(_: Request, error: Exception) -> Response:
    log.warning("%s", error)
    message = "The conversations cannot be read right now. Please try again in a moment."
    return problem(503, "conversations_unreadable", message, retry_after=5.0)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    message = "is not a known field" if first["type"] == "extra_forbidden" else first["msg"].lower()
    status = 400 if request.url.path.startswith("/v1/") else 422
    return problem(status, "invalid_request", f"{place}: {message}.", param=place)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    codes = {404: "not_found", 405: "method_not_allowed"}
    sentence = {404: "There is nothing here.", 405: "This address does not take that method."}
    message = sentence.get(error.status_code, "The request cannot be answered.")
    return problem(error.status_code, codes.get(error.status_code, "http_error"), message)
