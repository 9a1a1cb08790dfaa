"""`answerdeck up`, `serve`, `console`: what runs until Ctrl-C."""

from __future__ import annotations

from typing import Annotated

import typer

Port = Annotated[int | None, typer.Option(help="Port of chat and API; default from the configuration.")]


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(serve)
    app.command(name="console")(console)


def up(
    port: Port = None,
    console_port: Annotated[int | None, typer.Option(help="Port of the console.")] = None,
) -> None:
    """Start chat, API, console and drainer under one supervisor; Ctrl-C stops all."""
    from console.supervisor import supervise
    from pipeline.settings import load

    settings = load()
    code = supervise(settings, port or settings.server.port, console_port or settings.server.console_port)
    raise typer.Exit(code)


def serve(
    port: Port = None,
    host: Annotated[str | None, typer.Option(help="Address to bind.")] = None,
    workers: Annotated[int | None, typer.Option(help="API processes; the chat page needs exactly one.")] = None,
    chat: Annotated[bool, typer.Option(help="Serve the chat page too.")] = True,
) -> None:
    """Start the chat page and the HTTP API alone."""
    from console.server import run
    from pipeline.settings import load

    settings = load()
    server = settings.server
    run(settings, host or server.host, port or server.port, workers or server.workers, chat=chat)


def console(
    port: Annotated[int | None, typer.Option(help="Port of the console.")] = None,
) -> None:
    """Start the console alone."""
    import os
    import sys

    from console.launch import command, environment
    from pipeline.settings import load

    settings = load()
    arguments = command(settings, port or settings.server.console_port)
    os.execve(sys.executable, arguments, environment(settings))  # noqa: S606
