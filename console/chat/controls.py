"""Gradio, imported without the files it writes for editors: two fifths of the chat's time to start.

Gradio reads the source of each of its own classes at every import to write a `.pyi` beside it. It leaves out
classes that have no file; while it is imported, none has.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

_getfile = inspect.getfile


def _file(thing: object) -> str:
    if type(thing).__name__ == "ComponentMeta":
        raise OSError("no file")
    return _getfile(thing)  # pyright: ignore[reportArgumentType]


@contextmanager
def _without_editor_files() -> Iterator[None]:
    inspect.getfile = _file
    try:
        yield
    finally:
        inspect.getfile = _getfile


@contextmanager
def _without_tools() -> Iterator[None]:
    """Hide MCP from Gradio, which would load it for a server of tools that the page does not have."""
    if "mcp" in sys.modules:
        yield
        return
    sys.modules["mcp"] = None  # type: ignore[assignment]  # importing it fails, as where it is not installed
    try:
        yield
    finally:
        del sys.modules["mcp"]


with _without_editor_files(), _without_tools():
    import gradio as gr
    import gradio.themes as themes

__all__ = ["gr", "themes"]
