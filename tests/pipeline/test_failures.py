"""Error bodies and headers, and the class each one comes to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ErrorClass
from pipeline.models.failures import failure, retry_after

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": {"type": "invalid_request_error", "message": "bad"}}, "bad_request"),
        (400, {"message": "prompt is too long: 9 tokens > 8 maximum", "type": "x"}, "context_overflow"),
        (
            400,
            {"error": {"message": "This model's maximum context length is 8192 tokens."}},
            "context_overflow",
        ),
        (400, {"error": {"message": "input length and max_tokens exceed context limit"}}, "context_overflow"),
        (400, {"error": {"message": "max_tokens: Field required"}}, "bad_request"),
        (413, {"error": {"type": "request_too_large"}}, "context_overflow"),
        (429, {"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}, "auth"),
        (429, "<html>", "rate_limited"),
        (529, None, "overloaded"),
        (500, b"\xff", "provider_5xx"),
        (503, {"error": {"code": 503}}, "provider_5xx"),
        (408, None, "provider_5xx"),
        (302, None, "protocol"),
        (404, {"error": {"code": "model_not_found"}}, "bad_request"),
        (200, {"type": "error", "error": {"type": "overloaded_error"}}, "overloaded"),
        (200, {"error": {"type": "invalid_request_error", "message": "no"}}, "bad_request"),
        (200, {"error": "out of memory"}, "provider_5xx"),
        (200, {"error": {"message": "Request too large: context window exceeded"}}, "context_overflow"),
    ],
)
def test_class(status: int, body: Any, expected: str) -> None:
    assert failure("m", status, body).error_class == expected


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
@pytest.mark.parametrize("secret", ["sk-proj-abcdef123456", "Bearer abc.def", "A" * 40])
def test_messages_hold_no_key(status: int, secret: str) -> None:
    body = {"error": {"message": f"bad thing {secret} here", "type": "invalid_request_error", "code": secret}}
    assert secret not in str(failure("m", status, body))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "99999999"}, 99999999.0),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:07 GMT"}, 7.0),
        ({"retry-after": "Mon, 23 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Mon, 23 Nov 99999 12:00:00 GMT"}, None),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=NOW) == seconds


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["error", "type", "code"]), inner)
    ),
    max_leaves=8,
)


@given(st.sampled_from([None, 200, 302, 400, 401, 404, 429, 500, 529]), JSON, st.text(max_size=40))
def test_nothing_breaks_it(status: int | None, body: Any, header: str) -> None:
    found = failure("m", status, body, {"retry-after": header, "x-request-id": header}, now=NOW)
    assert found.error_class in get_args(ErrorClass)
    assert found.retry_after is None or found.retry_after >= 0
