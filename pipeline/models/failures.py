"""Tells from a provider's words and status what went wrong, in our closed set of classes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pipeline.errors import ErrorClass, ModelError

OVERFLOW = re.compile(
    r"context.{0,20}(length|window|size|limit)|prompt is too long|too many (input )?tokens"
    r"|exceeds?.{0,40}\b(context|tokens)|maximum.{0,20}tokens.{0,20}(prompt|input)|input is too long",
    re.IGNORECASE,
)
SECRET = re.compile(r"(?i)\b(sk|key|pk|rk|pat|ghp|gsk|xai)[-_][\w-]{6,}|\bbearer\s+\S+|[A-Za-z0-9_-]{32,}")
CODE = re.compile(r"[a-z_]{1,40}")  # a key would hold digits or capitals

# The error types and codes of both dialects; a name decides before the status does, because an
# error may come inside a stream that began with status 200.
KINDS: dict[str, ErrorClass] = {
    "overloaded_error": "overloaded",
    "overloaded": "overloaded",
    "engine_overloaded": "overloaded",
    "slow_down": "overloaded",
    "rate_limit_error": "rate_limited",
    "rate_limit_exceeded": "rate_limited",
    "rate_limit_reached": "rate_limited",
    "tokens": "rate_limited",
    "requests": "rate_limited",
    "insufficient_quota": "auth",
    "billing_hard_limit_reached": "auth",
    "billing_error": "auth",
    "authentication_error": "auth",
    "permission_error": "auth",
    "invalid_api_key": "auth",
    "account_deactivated": "auth",
    "context_length_exceeded": "context_overflow",
    "exceed_context_size_error": "context_overflow",
    "string_above_max_length": "context_overflow",
    "request_too_large": "context_overflow",
    "content_filter": "refused",
    "content_policy_violation": "refused",
    "not_found_error": "bad_request",
    "model_not_found": "bad_request",
    "service_unavailable": "overloaded",
}


def failure(
    name: str,
    status: int | None,
    body: Any,
    headers: Mapping[str, str] | None = None,
    *,
    now: datetime | None = None,
) -> ModelError:
    """Return the ModelError for an error a provider reported, by body (decoded JSON or text) and status."""
    kind, code, message = _envelope(body)
    error_class = classify(status, kind, code, message)
    words = [f"{name}: {error_class}"]
    words += [] if status in (None, 200) else [f"status {status}"]
    words += [word for word in dict.fromkeys((kind, code)) if CODE.fullmatch(word)]
    if error_class in ("bad_request", "context_overflow") and message:
        words.append(repr(SECRET.sub("[hidden]", message[:200])))  # what to mend; elsewhere it may echo a key
    headers = headers or {}
    return ModelError(
        error_class,
        ", ".join(words),
        status=status,
        retry_after=retry_after(headers, now=now),
        request_id=request_id(headers),
    )


def classify(status: int | None, kind: str, code: str, message: str) -> ErrorClass:
    """Return the class of an error by its names, then its words, then its status."""
    for word in (code, kind):
        if word in KINDS:
            return KINDS[word]
    if status in (None, 200, 400, 422) and OVERFLOW.search(message):
        return "context_overflow"
    if status == 413:
        return "context_overflow"
    if status in (401, 402, 403):
        return "auth"
    if status == 429:
        return "rate_limited"
    if status == 529:
        return "overloaded"
    if status in (408, 409, 425) or (status or 0) >= 500:
        return "provider_5xx"
    if status in (None, 200) and kind != "invalid_request_error":
        return "provider_5xx"
    return "bad_request" if status in (None, 200) or (status or 0) >= 400 else "protocol"


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Return the seconds a provider asks us to wait, or None when it says nothing sensible."""
    for header, per_second in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(header, "").strip()
        if value:
            seconds = _number(value)
            if seconds is not None:
                return seconds / per_second
            if header == "retry-after":
                return _until(value, now or datetime.now(UTC))
    return None


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the provider's name for a call, to quote to its support."""
    return (headers.get("x-request-id") or headers.get("request-id") or "")[:100] or None


def _number(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _until(value: str, now: datetime) -> float | None:
    try:
        then = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - now).total_seconds())


def _envelope(body: Any) -> tuple[str, str, str]:
    """Return (type, code, message) from either dialect's error body; empty strings when absent."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, str):
        return "", "", error if isinstance(body, dict) else ""  # a bare text body is a proxy's page
    if not isinstance(error, dict):
        return "", "", ""
    parts = (error.get("type"), error.get("code"), error.get("message"))
    kind, code, message = (part if isinstance(part, str) else "" for part in parts)
    return kind, code, message
