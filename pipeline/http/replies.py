"""JSON responses of the routes, a finished turn among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from starlette.responses import Response

from pipeline.events import Answer, Event, Failed
from pipeline.http.problem import body, headers, status_of


def reply(value: Any, status: int = 200, more: dict[str, str] | None = None) -> Response:
    """Return a value as JSON, with `more` headers."""
    return Response(orjson.dumps(value), status, more, media_type="application/json")


def whole(event: Event | None, shape: Callable[[Answer], dict[str, Any]]) -> Response:
    """Return a finished turn as one JSON object; None means that nobody waits any more."""
    if event is None:
        return Response(status_code=499)
    if isinstance(event, Answer):
        return reply(shape(event))
    failed = event if isinstance(event, Failed) else Failed("internal", "The turn has no end.", None)
    status = status_of(failed.code)
    error = body(failed.code, failed.message, status, turn_id=failed.turn_id, retry_after=failed.retry_after)
    return reply(error, status, headers(failed.retry_after))
