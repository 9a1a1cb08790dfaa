"""The HTTP API: puts the routes, the border and the background work together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, nullcontext

from fastapi import APIRouter, FastAPI

from pipeline import build
from pipeline.access.people import People
from pipeline.http.health import Health
from pipeline.http.metrics import Metrics
from pipeline.http.middleware import Border
from pipeline.http.origins import Origins
from pipeline.http.provided import provider_sign_in
from pipeline.http.proxied import Proxied
from pipeline.http.refusals import explain
from pipeline.http.routes import (
    bases,
    breakers,
    chat,
    completions,
    conversations,
    documents,
    facts,
    feedback,
    keeping,
    operations,
    sign_in,
    spans,
    turns,
)
from pipeline.http.sending import exported
from pipeline.http.sign_in_page import SignInPage
from pipeline.http.stopping import gently
from pipeline.settings import Settings
from pipeline.turn import Pipeline


def create_app(
    pipeline: Pipeline,
    settings: Settings,
    *,
    prepare: Callable[[Pipeline], Awaitable[None]] | None = None,
    gentle: bool = False,
    people: People | None = None,
) -> FastAPI:
    """Return the application with all routes, behind the border.

    `prepare` runs once in the background after the start; `/readyz` says 503 until it is done. With
    `gentle`, signals let the running turns end first.
    """
    people = people or build.people(settings)
    work = ServerWork(pipeline, settings, people)
    app = FastAPI(
        title="Answerdeck",
        lifespan=work.lifespan(prepare, gentle=gentle),
        docs_url=None, redoc_url=None, openapi_url=None,
    )  # fmt: skip
    app.add_middleware(
        Border,
        body_bytes=settings.limits.body_bytes,
        file_bytes=settings.chat.upload_bytes,
        people=people,
        origins=Origins(settings.server.origins),
    )
    app.add_middleware(  # around the border
        Proxied, prefix=settings.server.prefix, trusted=settings.server.trusted_proxies
    )
    explain(app)
    for router in _routers(pipeline, settings, people, work):
        app.include_router(router)
    return app


class ServerWork:
    """What goes on beside the requests: the state of the parts, metrics, spans in and out."""

    def __init__(self, pipeline: Pipeline, settings: Settings, people: People) -> None:
        self.health, self.metrics = Health(pipeline), Metrics(pipeline)
        self.foreigners = spans.Foreigners(pipeline)
        self._pipeline, self._people = pipeline, people
        self._stop_seconds = settings.limits.stop_seconds
        self._export = ExitStack()
        self._export.enter_context(exported(pipeline, settings))
        pipeline.observers.append(self.metrics.observe)

    def lifespan(
        self, prepare: Callable[[Pipeline], Awaitable[None]] | None, *, gentle: bool
    ) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
        """Return what begins this work with the server, and ends it and the pipeline with it."""

        @asynccontextmanager
        async def alive(_: FastAPI) -> AsyncIterator[None]:
            works = [self.health.prepare(prepare), self.metrics.keep_fresh()]
            works += [] if self._pipeline.spaces is None else [self._pipeline.spaces.look_after()]
            tasks = [asyncio.create_task(work) for work in works]
            with gently(self._pipeline, self._stop_seconds) if gentle else nullcontext():
                yield
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()

        return alive

    async def _close(self) -> None:
        self.foreigners.late(everything=True)
        await self._pipeline.close()
        self._people.close()
        await asyncio.to_thread(self._export.close)


def _routers(pipeline: Pipeline, settings: Settings, people: People, work: ServerWork) -> Iterator[APIRouter]:
    """Yield the routes, by subject."""
    configured = (settings.models.primary, settings.models.fallback, "extractive")
    yield chat.routes(pipeline)
    yield bases.routes(pipeline)
    yield documents.routes(documents.Documents(pipeline.spaces))
    yield feedback.routes(pipeline)
    yield completions.routes(pipeline, [name for name in configured if name])
    yield conversations.routes(pipeline.memory)
    yield keeping.routes(pipeline.memory)
    yield facts.routes(pipeline.memory)
    yield turns.routes(pipeline.store)
    yield work.foreigners.routes()
    yield operations.routes(work.health, work.metrics)
    yield breakers.routes(pipeline)
    yield sign_in.routes(people, provider_sign_in(settings, people), SignInPage(settings.chat.name))
