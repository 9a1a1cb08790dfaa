"""The console as its own process on a free port, and its pages run in this process, for the tests."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from console import launch
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

    from pipeline.access.people import People

START_SECONDS = 60
VIEWS = tuple(  # every page the navigation offers
    re.findall(r"^ +(\w+),$", (launch.FOLDER / "app.py").read_text().partition(")\n")[0], re.MULTILINE)
)


@contextmanager
def forgetting(people: People) -> Iterator[People]:
    """Let the console know these people and nothing of earlier tests; they are closed at the end."""
    import streamlit

    from console.dashboard import visitor

    streamlit.cache_data.clear()
    streamlit.cache_resource.clear()
    yield people
    visitor.people().close()
    streamlit.cache_data.clear()
    streamlit.cache_resource.clear()
    people.close()


@contextmanager
def serving(data_dir: Path) -> Iterator[str]:
    """Serve the console over a data folder; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = load_settings(data_dir=data_dir).model_copy(
        update={"server": load_settings().server.model_copy(update={"console_port": port})}
    )
    log = data_dir / "console.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            launch.command(settings), env=launch.environment(settings), stdout=out, stderr=subprocess.STDOUT
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address + launch.HEALTH, process, log)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


def page(name: str, **params: str) -> AppTest:
    """Run one page of the console in this process, with the address's parameters, and return it."""
    import streamlit
    from streamlit.testing.v1 import AppTest

    streamlit.cache_data.clear()
    streamlit.cache_resource.clear()
    app = AppTest.from_function(_script, default_timeout=100)
    app.session_state["which"] = name
    for key, value in params.items():
        app.query_params[key] = value
    return app.run()


def _script() -> None:
    from importlib import import_module

    import streamlit as st

    import_module(f"console.dashboard.views.{st.session_state['which']}").page()


def shown(app: AppTest) -> str:
    """Return the HTML of our own on a page."""
    return "\n".join(json.loads(element.proto.json) for element in app.get("bidi_component"))


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"the console did not start:\n{log.read_text(errors='replace')[-2000:]}")
