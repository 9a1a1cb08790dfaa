"""How the HTTP API says no: one clear sentence, in a shape that OpenAI clients read too."""

from __future__ import annotations

import math
from typing import Any

import orjson
from starlette.responses import Response

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_STATUSES = {
    "rate_limited": 429,
    "budget": 429,
    "too_many_turns": 429,
    "busy": 503,
    "shed": 503,
    "stopping": 503,
    "bad_id": 422,
    "conversation_not_found": 404,
    "turn_not_found": 404,
    "document_not_found": 404,
}


def status_of(code: str) -> int:
    """Return the HTTP status of a turn that failed with this code."""
    return _STATUSES.get(code, 503)


def body(code: str, message: str, status: int, **more: Any) -> dict[str, Any]:
    """Return the error object."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"code": code, "message": message, "type": kind, "param": None, **more}}


def problem(
    status: int, code: str, message: str, *, retry_after: float | None = None, **more: Any
) -> Response:
    """Return the error as a response."""
    return Response(
        orjson.dumps(body(code, message, status, **more)),
        status,
        headers(retry_after),
        media_type="application/json",
    )


def headers(retry_after: float | None) -> dict[str, str]:
    return {} if retry_after is None else {"Retry-After": str(max(math.ceil(retry_after), 1))}
