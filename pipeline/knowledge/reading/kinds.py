"""What every reader of a kind of file shares: its refusal, its limits and the name a file is shown by."""

from __future__ import annotations

import re
from pathlib import Path

FILE_BYTES = 50_000_000
TABLE_BYTES = 500_000_000  # csv and jsonl
HTML_BYTES = 10_000_000


class Unreadable(Exception):
    """A file cannot be used; the message says why, for people."""


def stem(name: str) -> str:
    """Return a file's name as a title."""
    return re.sub(r"[-_\s]+", " ", Path(name).stem).strip() or name


def printable(name: str) -> str:
    """Return a file's name as valid text: bytes that are no UTF-8 are shown as escapes, distinctly."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
