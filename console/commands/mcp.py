"""`answerdeck mcp`: the documents as tools of programs that speak the Model Context Protocol."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import Annotated

import typer

from console.binding import taken
from console.commands.screen import logs, wrong
from pipeline.build import build
from pipeline.errors import ConfigurationError
from pipeline.http.sending import exported
from pipeline.settings import load_settings

HOST, PORT = "127.0.0.1", 7870


def mcp(
    http: Annotated[bool, typer.Option("--http", help="Streamable HTTP on this machine, at /mcp.")] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help=f"Port of --http; {PORT} by default.")
    ] = None,
) -> None:
    """Let programs that speak MCP ask and search the documents; stdio by default."""
    if port is not None and not http:
        raise wrong("--port is of --http; without it the tools speak over stdin and stdout")
    port = port or PORT
    if importlib.util.find_spec("mcp") is None:
        raise wrong("MCP needs one more package; install it with: pip install 'answerdeck[mcp]'")
    from console.mcp_server import over_http, over_stdio

    logs()
    settings = load_settings()
    if http and (problems := taken(HOST, {"port": port}, {"port": "--port"})):
        raise ConfigurationError(problems)
    pipeline = build(settings)
    with exported(pipeline, settings):
        asyncio.run(over_http(pipeline, settings, HOST, port) if http else over_stdio(pipeline, settings))
