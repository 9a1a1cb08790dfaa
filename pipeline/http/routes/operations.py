"""/healthz, /readyz and /metrics: whether the server is well, for what watches it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from pipeline.auth import Person
from pipeline.http.access import authorize
from pipeline.http.health import Health
from pipeline.http.metrics import Metrics
from pipeline.http.middleware import PERSON
from pipeline.http.replies import reply


def routes(health: Health, metrics: Metrics) -> APIRouter:
    """Return the routes of this resource."""
    router = APIRouter()

    @router.get("/healthz")
    async def alive() -> Response:
        return reply({"status": "alive"})

    @router.get("/readyz")
    async def ready(request: Request) -> Response:
        person: Person | None = request.scope[PERSON]
        report = await health.report(details=person is not None and person.keeps("viewer"))
        return reply(report, 200 if report["ready"] and not report["stopping"] else 503)

    @router.get("/metrics", dependencies=[authorize("viewer", "read the metrics", whole=True)])
    async def numbers() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
