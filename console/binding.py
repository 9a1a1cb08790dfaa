"""Whether the addresses that a configuration names can be bound, and may be."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from pipeline import build
from pipeline.auth import DEFAULT
from pipeline.settings import Settings

OPTIONS = {"server.port": "--port", "server.console_port": "--console-port"}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def exposed(settings: Settings, host: str) -> list[str]:
    """Return what is wrong with a host that other machines reach: nobody would have to log in."""
    if host in LOOPBACK:
        return []
    people = build.people(settings)
    if people.closed:
        return []
    return [
        f"server.host: {host!r} is reachable from other machines and no login is configured;"
        " run answerdeck users add NAME, set ANSWERDECK_AUTH__KEYS or bind 127.0.0.1"
    ]


def narrowed(settings: Settings) -> list[str]:
    """Return what is wrong with serving for one workspace: a server is there for all of them."""
    if settings.workspace == DEFAULT:
        return []
    return ["workspace: it is for commands, a server is for all workspaces; unset ANSWERDECK_WORKSPACE"]


def taken(host: str, ports: Mapping[str, int], options: Mapping[str, str] = OPTIONS) -> list[str]:
    """Return a sentence for each port, by its configuration key, that cannot be bound now."""
    problems: list[str] = []
    for key, port in ports.items():
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                problems.append(
                    f"{key}: cannot bind {host}:{port} ({error.strerror}); try {options[key]} {port + 10}"
                )
    return problems
