"""How to start the console: Streamlit's command line and environment, with every flag set by us."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.settings import Settings

FOLDER = Path(__file__).parent / "dashboard"
HEALTH = "/_stcore/health"  # answers "ok" when the console is up


def command(settings: Settings) -> list[str]:
    """Return the command that serves the console on its configured port of 127.0.0.1."""
    flags = tomllib.loads((FOLDER / "streamlit.toml").read_text())
    flags["server"]["port"] = settings.server.console_port
    flags["server"]["allowedHosts"] += settings.server.console_hosts
    if settings.server.console_prefix:
        flags["server"]["baseUrlPath"] = settings.server.console_prefix.strip("/")
    app = str(FOLDER / "window.py")
    return [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        app,
        *(f"--{key}={value}" for key, value in _flat(flags)),
    ]


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment to start it with: ours, and the data folder it reads."""
    return {
        **os.environ,
        "ANSWERDECK_DATA_DIR": str(settings.data_dir.absolute()),
        "ANSWERDECK_SERVER__PORT": str(settings.server.port),
        "ANSWERDECK_SERVER__CONSOLE_PORT": str(settings.server.console_port),
    }


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield from ((f"{prefix}{key}", str(element)) for element in value)
        else:
            yield f"{prefix}{key}", str(value).lower() if isinstance(value, bool) else str(value)
