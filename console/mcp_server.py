"""The tools over the Model Context Protocol, by stdin and stdout or by HTTP. Nothing else knows the SDK.

Over stdio whoever started the process is the machine's owner; over HTTP the border tells who asks, as
it does for the API.
"""

from __future__ import annotations

import logging
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from console.tools import Tools
from pipeline import build
from pipeline.access.people import People
from pipeline.auth import LOCAL, Person
from pipeline.errors import AnswerdeckError
from pipeline.http.middleware import PERSON, Border
from pipeline.http.origins import Origins
from pipeline.http.problem import problem
from pipeline.settings import Settings
from pipeline.turn import Pipeline
from traces.errors import StoreError, TracesError

log = logging.getLogger(__name__)
ABOUT = "Answers from a team's own documents, with citations, and the passages behind them."
Text = Annotated[str, Field(description="What somebody wants to know, in plain words.")]
Base = Annotated[str | None, Field(description="A knowledge base; the configured one when left out.")]
Earlier = Annotated[str | None, Field(description="The conversation_id of an answer to follow up on.")]
Id = Annotated[str, Field(description="The turn_id of an answer or a search.")]
Name = Annotated[str, Field(description="The name of an evalset, e.g. demo.")]
Limit = Annotated[int | None, Field(ge=1, description="At most this many cases, a seeded choice.")]
Dollars = Annotated[float, Field(ge=0, description="The most the run may cost; 0 runs only what is free.")]
Json = dict[str, Any]


class ToolServer(MCPServer[Any]):
    """Says each failure of a tool in our own sentence."""

    async def call_tool(self, name: str, arguments: Json, context: Context[Any, Any] | None = None) -> Any:
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            raise _calm(error) from error.__cause__


def _calm(error: ToolError) -> ToolError:
    match error.__cause__:
        case ValidationError() as wrong:
            first = wrong.errors()[0]
            return ToolError(f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}.")
        case StoreError() as trouble:
            log.warning("the trace store cannot be read: %s", trouble)
            return ToolError("The trace store cannot be read right now. Please try again.")
        case AnswerdeckError() | TracesError() as ours:
            return ToolError(str(ours))
        case None:
            return error
    log.error("a tool failed", exc_info=error.__cause__)
    return ToolError("This is a fault of Answerdeck; its log says more.")


def server(tools: Tools) -> ToolServer:
    """Return the server with its four tools."""
    served = ToolServer("answerdeck", instructions=ABOUT, version=tools.pipeline.rules.code_version)

    @served.tool(structured_output=False)
    async def search_documents(context: Context[Any, Any], question: Text, kb: Base = None) -> Json:
        """Find the passages of the documents that are closest to a question, best first."""
        return await tools.search(_person(context), question, kb)

    @served.tool(structured_output=False)
    async def ask(
        context: Context[Any, Any], question: Text, kb: Base = None, conversation_id: Earlier = None
    ) -> Json:
        """Answer a question from the documents alone, with numbered citations."""
        return await tools.ask(_person(context), question, kb, conversation_id)

    @served.tool(structured_output=False)
    async def get_turn(context: Context[Any, Any], turn_id: Id) -> Json:
        """For operators: all that was recorded of a turn, its spans, passages, prompt, cost and scores."""
        return await tools.turn(_person(context), turn_id)

    @served.tool(structured_output=False)
    async def run_eval(
        context: Context[Any, Any], evalset: Name, limit: Limit = None, budget_usd: Dollars = 0.0
    ) -> Json:
        """For operators: run an evalset with what answers now, and return its metrics with intervals."""
        return await tools.evaluate(_person(context), evalset, limit, budget_usd)

    return served


def _person(context: Context[Any, Any]) -> Person:
    request = context.request_context.request
    return LOCAL if request is None else request.scope[PERSON]


async def over_stdio(pipeline: Pipeline, settings: Settings) -> None:
    """Serve the program at the other end of stdin and stdout until it leaves."""
    try:
        await build.prepare(pipeline)
        await server(Tools(pipeline, settings)).run_stdio_async()
    finally:
        await pipeline.close()


class PostOnly:
    """ASGI middleware: 405 for a stream that would stay open, since nothing is ever sent unasked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "POST":
            await self._app(scope, receive, send)
            return
        refusal = problem(405, "method_not_allowed", "Only POST is served here: nothing is sent unasked.")
        refusal.headers["Allow"] = "POST"
        await refusal(scope, receive, send)


def application(tools: Tools, people: People, host: str) -> ASGIApp:
    """Return POST /mcp behind the same border as the API: its sizes, hosts, origins and keys."""
    settings, most = tools.settings, tools.settings.limits.body_bytes
    inside = server(tools).streamable_http_app(
        stateless_http=True, json_response=True, max_request_body_size=most, host=host
    )
    return Border(PostOnly(inside), body_bytes=most, people=people, origins=Origins(settings.server.origins))


async def over_http(pipeline: Pipeline, settings: Settings, host: str, port: int) -> None:
    """Serve POST /mcp until SIGTERM or Ctrl-C."""
    import uvicorn

    people = build.people(settings)
    app = application(Tools(pipeline, settings), people, host)
    config = uvicorn.Config(
        app, host, port, log_level="warning", access_log=False, server_header=False, lifespan="on"
    )
    try:
        await build.prepare(pipeline)
        await uvicorn.Server(config).serve()
    finally:
        await pipeline.close()
        people.close()
