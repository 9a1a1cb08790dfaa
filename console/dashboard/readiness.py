"""What the running chat says it cannot use, so that the console shows it too."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

SECONDS = 0.5
LEDGER = "traces"  # the console reads the ledger itself and says more about it


def notes(port: int) -> list[str]:
    """Return a sentence for each dependency that is not well; none when no chat answers on this machine."""
    body = report(port)
    return [
        f"The chat cannot use its {dependency['name']}: {dependency['detail']}"
        for dependency in body.get("dependencies", [])
        if dependency["state"] != "ok" and dependency["detail"] and dependency["name"] != LEDGER
    ]


def report(port: int) -> dict[str, Any]:
    """Return what the chat of this machine says of itself; empty when none answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=SECONDS) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        return _body(error)
    except (OSError, ValueError):
        return {}


def _body(error: urllib.error.HTTPError) -> dict[str, Any]:
    """Return the report of a chat that is not ready; empty when it is not ours to read."""
    try:
        body = json.load(error)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
