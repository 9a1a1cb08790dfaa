"""`POST /v1/traces`: turns of other programs, as OpenTelemetry sends them."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from pipeline import foreign
from pipeline.http import otlp
from pipeline.http.access import authorize
from pipeline.http.problem import problem
from pipeline.turn import Pipeline

KINDS = ("application/x-protobuf", "application/json")


class Foreigners:
    """Takes spans, and writes the turns they stand for by the door `otlp`, under their service's name."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._journal = pipeline.journal
        self._gathering = otlp.Gathering()

    def routes(self) -> APIRouter:
        """Return the route."""
        router = APIRouter()
        router.add_api_route(
            "/v1/traces",
            self.take,
            methods=["POST"],
            response_model=None,
            dependencies=[authorize("editor", "send turns of other programs", whole=True)],
        )
        return router

    async def take(self, request: Request) -> Response:
        """Answer a request as OTLP/HTTP says: 200, 400 with the field, 415, or 429 with the time to wait."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in KINDS:
            return problem(415, "unsupported", f"Content-Type must be {' or '.join(KINDS)}.")
        try:
            body = otlp.unpacked(await request.body(), request.headers.get("content-encoding", "").lower())
            arrived = await asyncio.to_thread(otlp.spans, body, kind)
            self._write([*self._gathering.add(arrived), *self._gathering.late()])
        except otlp.Malformed as error:
            return problem(400, "bad_spans", f"{error}.")
        except otlp.Flood as flood:
            return problem(429, "rate_limited", str(flood), retry_after=flood.seconds)
        asyncio.get_running_loop().call_later(otlp.QUIET_SECONDS + 1, self.late)
        return Response(otlp.reply(kind), media_type=kind)

    def late(self, *, everything: bool = False) -> None:
        """Write the traces whose first span did not come, or at the end all that wait."""
        self._write(self._gathering.late(everything=everything))

    def _write(self, traces: list[list[foreign.Foreign]]) -> None:
        for spans in traces:
            self._journal.write(foreign.turn(spans))
