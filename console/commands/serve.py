"""`answerdeck up`, `serve`, `console`: what runs until Ctrl-C."""

from __future__ import annotations

import os
import sys
from threading import Thread
from typing import Annotated, Any

import typer

from console.binding import taken
from console.commands.screen import logs
from console.launch import command, environment
from console.server import run
from console.supervisor import supervise
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings, load_settings
from pipeline.troubles import troubles

Port = Annotated[int | None, typer.Option(help="Port of chat and API; default from the configuration.")]


def up(
    port: Port = None,
    console_port: Annotated[int | None, typer.Option(help="Port of the console.")] = None,
) -> None:
    """Start chat, API, console and drainer under one supervisor; Ctrl-C stops all."""
    logs()
    raise typer.Exit(supervise(load_settings(**_ports(port, console_port))))


def serve(
    port: Port = None,
    host: Annotated[str | None, typer.Option(help="Address to bind.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="API processes; the chat page needs exactly one.")
    ] = None,
    chat: Annotated[bool, typer.Option(help="Serve the chat page too.")] = True,
) -> None:
    """Start the chat page and the HTTP API alone."""
    logs()
    settings = load_settings(**_ports(port, None))
    Thread(target=_tell, args=(settings,), name="troubles", daemon=True).start()
    run(settings, host or settings.server.host, workers or settings.server.workers, chat=chat)


def console(
    port: Annotated[int | None, typer.Option(help="Port of the console.")] = None,
) -> None:
    """Start the console alone."""
    settings = load_settings(**_ports(None, port))
    ports = {"server.console_port": settings.server.console_port}
    if problems := taken(settings.server.host, ports, {"server.console_port": "--port"}):
        raise ConfigurationError(problems)
    os.execve(sys.executable, command(settings), environment(settings))


def _tell(settings: Settings) -> None:
    """Name the engines elsewhere that cannot be used now; the server starts meanwhile."""
    for trouble in troubles(settings):
        print(trouble, file=sys.stderr, flush=True)


def _ports(port: int | None, console_port: int | None) -> dict[str, Any]:
    """Return what the options change in the configuration."""
    ports = {"port": port, "console_port": console_port}
    return {"server": {key: value for key, value in ports.items() if value is not None}}
