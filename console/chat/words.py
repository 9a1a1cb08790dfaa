"""The fixed words of the chat page, in the languages of its readers."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.text.languages import SPOKEN

FILE = Path(__file__).with_suffix(".tsv")  # a line a text: English, then each language


def say(tongue: str, text: str, **values: Any) -> str:
    """Return an English text of the page in a language; one that is not translated stays English."""
    translated = _texts().get(text, {}).get(tongue, text)
    return translated.format(**values) if values else translated


def scripted(tongue: str) -> dict[str, str]:
    """Return the texts that the page's own script shows."""
    return {text: say(tongue, text) for text in SCRIPTED}


SCRIPTED = (
    "Your question",
    "Ask a question…",
    "Send",
    "Stop",
    "Conversation",
    "All systems normal",
    "Starting…",
    "Limited service",
    "Connection lost",
    "Try again",
    "Try again in {n} s",
    "Sending {name}: {percent} %",
    "Sending…",
    "Try now",
    "No connection. What you asked is sent as soon as it is back.",
    "The connection was lost. The answer goes on as soon as it is back.",
)


@cache
def _texts() -> dict[str, dict[str, str]]:
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows[0] == ["en", *SPOKEN[1:]]
    return {row[0]: dict(zip(SPOKEN[1:], row[1:], strict=True)) for row in rows[1:]}
