"""Reads one PDF in its own process: `python -m pipeline.knowledge.pdf FILE` prints JSON."""

from __future__ import annotations

import json
import logging
import resource
import sys

PAGES = 2_000
CHARACTERS = 10_000_000
MEMORY_BYTES = 2_000_000_000
CPU_SECONDS = 60


def extract(path: str) -> dict[str, str | None]:
    """Return {title, text, reason}; `reason` says why there is no text."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            return _refuse("protected by a password")
        if len(reader.pages) > PAGES:
            return _refuse(f"more than {PAGES:,} pages")
        texts: list[str] = []
        size = 0
        for page in reader.pages:
            texts.append(page.extract_text())
            size += len(texts[-1])
            if size > CHARACTERS:
                return _refuse(f"more than {CHARACTERS:,} characters of text")
        title = (reader.metadata.title if reader.metadata else None) or None
    except (
        PyPdfError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RecursionError,
        MemoryError,
    ):
        return _refuse("not a PDF file that can be read")
    if not "".join(texts).strip():
        return _refuse("no text in it, only images; run it through OCR first")
    return {"title": title, "text": "\n\n".join(texts), "reason": None}


def _refuse(reason: str) -> dict[str, str | None]:
    return {"title": None, "text": None, "reason": reason}


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    print(json.dumps(extract(sys.argv[1])))
