"""The HTTP API: puts the routes, the border and the background work together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext

from fastapi import FastAPI

from pipeline import build
from pipeline.http import sending
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
from pipeline.http.stopping import gently
from pipeline.people import People
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
    health = Health(pipeline)
    metrics = Metrics(pipeline)
    pipeline.observers.append(metrics.observe)
    people = people or build.people(settings)
    foreigners = spans.Foreigners(pipeline)
    sender = sending.sender(settings, pipeline.rules.code_version)
    if sender is not None:
        pipeline.observers.append(sender.observe)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        works = [health.prepare(prepare), metrics.keep_fresh()]
        works += [] if pipeline.spaces is None else [pipeline.spaces.look_after()]
        tasks = [asyncio.create_task(work) for work in works]
        with gently(pipeline, settings.limits.stop_seconds) if gentle else nullcontext():
            yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        foreigners.late(everything=True)
        await pipeline.close()
        people.close()
        if sender is not None:
            await asyncio.to_thread(sender.close)

    app = FastAPI(title="Answerdeck", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
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
    models = [name for name in (settings.models.primary, settings.models.fallback, "extractive") if name]
    for router in (
        chat.routes(pipeline),
        bases.routes(pipeline),
        documents.routes(documents.Documents(pipeline.spaces)),
        feedback.routes(pipeline),
        completions.routes(pipeline, models),
        conversations.routes(pipeline.memory),
        keeping.routes(pipeline.memory),
        facts.routes(pipeline.memory),
        turns.routes(pipeline.store),
        foreigners.routes(),
        operations.routes(health, metrics),
        breakers.routes(pipeline),
        sign_in.routes(people, provider_sign_in(settings, people)),
    ):
        app.include_router(router)
    return app
