"""Whole lists as CSV, streamed while they are read: `/export/turns.csv?outcome=failed`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from console.dashboard import whose
from console.dashboard.door import visitor
from console.dashboard.downloads import lines
from pipeline.access.people import People
from pipeline.auth import Person, Role
from traces.errors import StoreError
from traces.ledger import Ledger
from traces.queries import everything
from traces.queries.conversations import Which
from traces.queries.filter import Filter

Read = Callable[[], AbstractContextManager[Ledger]]
Open = Callable[[str | None], AbstractContextManager[Ledger]]  # of a workspace, or of all
Pieces = Iterator[list[dict[str, Any]]]
NEEDS: Role = "editor"  # as the pages that show what people asked
_LISTS = ("doors",)


@dataclass(frozen=True, slots=True)
class Export:
    """A list that can be taken away: what chooses its rows, and what reads them."""

    chooses: type[Any]
    read: Callable[[Read, Any], Pieces]


EXPORTS = {"turns": Export(Filter, everything.turns), "conversations": Export(Which, everything.talks)}


def button(name: str, which: Filter | Which) -> None:
    """Draw the button that downloads every row of a list, however many there are."""
    st.link_button(
        "CSV",
        address(name, which),
        icon=":material/download:",
        help="Every row that matches, texts whole, times in UTC. It is written while it is read.",
    )


def address(name: str, which: Filter | Which) -> str:
    """Return where a list is downloaded, relative to a page of the console."""
    chosen = TypeAdapter(type(which)).dump_python(which, mode="json", exclude_none=True)
    values = {**chosen.pop("window", {}), **chosen, whose.KEY: whose.seen()}
    return (
        f"export/{name}.csv?{urlencode({key: value for key, value in values.items() if value}, doseq=True)}"
    )


def routes(people: People, read: Open) -> list[Route]:
    """Return the addresses of all lists; `read` opens the ledger of a workspace, or of all."""
    return [Route(f"/export/{name}.csv", _endpoint(name, people, read)) for name in EXPORTS]


def _endpoint(name: str, people: People, read: Open) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:  # in a thread: it waits for the store
        person = visitor(people, request.headers.get("cookie", ""))
        if person is None or not person.may(NEEDS):
            return PlainTextResponse("Only editors and those above them may download what people asked.", 403)
        export = EXPORTS[name]
        try:
            which = _chosen(export.chooses, request)
        except ValidationError as error:
            problem = error.errors()[0]
            return PlainTextResponse(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}", 400)
        pieces = export.read(partial(read, _workspace(person, request)), which)
        try:
            first = next(pieces, [])
        except StoreError as error:
            return PlainTextResponse(f"The trace store cannot be read: {error}. Try again in a moment.", 503)
        return StreamingResponse(
            lines(chain([first], pieces)),
            media_type="text/csv",
            headers={
                "content-disposition": f'attachment; filename="{name}-{datetime.now(UTC):%Y-%m-%d}.csv"',
                "cache-control": "no-store",
            },
        )

    return answer


def _workspace(person: Person, request: Request) -> str | None:
    """Return whose rows are taken away: those of the person's workspace, or what an admin chooses."""
    return request.query_params.get(whose.KEY) if person.keeps("admin") else person.workspace


def _chosen(kind: type[Any], request: Request) -> Any:
    """Return what the address chooses; raises ValidationError, which names the parameter."""
    query = request.query_params
    values: dict[str, Any] = {key: query[key] for key in query if key != whose.KEY}
    values |= {key: query.getlist(key) for key in _LISTS if key in query}
    if kind is Which:
        values["window"] = {key: values.pop(key) for key in ("since", "until", "doors") if key in values}
    return TypeAdapter(kind).validate_python(values)
