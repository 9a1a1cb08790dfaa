"""Gradio, imported without the files it writes for editors: two fifths of the chat's time to start.

Gradio reads the source of each of its own classes at every import to write a `.pyi` beside it. It leaves out
classes that have no file; while it is imported, none has.
"""

from __future__ import annotations

import inspect
import os
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


with _without_editor_files():
    import gradio as gr
    import gradio.themes as themes

__all__ = ["gr", "themes"]
