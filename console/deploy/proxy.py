"""The configuration of nginx for one server or several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

FILES = Path(__file__).parent / "files"
_SERVER = re.compile(r"( *server )@UPSTREAM@( [^\n]*\n)")


def configuration(servers: Sequence[str]) -> str:
    """Return what nginx reads; `servers` are host:port."""
    text = (FILES / "nginx.conf").read_text("utf-8")
    return _SERVER.sub(lambda line: "".join(f"{line[1]}{server}{line[2]}" for server in servers), text)
