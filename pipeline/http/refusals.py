"""Errors of the routes as responses: each is one clear sentence."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from pipeline.errors import ConversationsError, Refused
from pipeline.http.problem import problem
from pipeline.http.wrong_path import sentence

log = logging.getLogger(__name__)
_CODES = {404: "not_found", 405: "method_not_allowed"}
_SENTENCES = {405: "This address does not take that method."}


def explain(app: FastAPI) -> None:
    """Let the application answer its errors with our sentences."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(ConversationsError, _unreadable)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return problem(error.status, error.code, str(error), retry_after=error.retry_after, param=error.param)


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


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = _SENTENCES.get(error.status_code, "The request cannot be answered.")
    if error.status_code == 404:
        message = sentence(request.url.path)
    return problem(error.status_code, _CODES.get(error.status_code, "http_error"), message)
