"""Ids for rows that bring none: by their first cell, so that a row keeps its id when others come and go."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pipeline.knowledge.documents import Document, Skipped

LONGEST_KEY = 80  # characters


@dataclass(frozen=True, slots=True)
class Named:
    """A row as a document under its file's name, the words it may be called by, and all its cells."""

    document: Document
    key: str
    cells: tuple[str, ...]
    given: bool = False  # the row brings its own id


def named(rows: Iterable[Named]) -> Iterator[Document | Skipped]:
    """Yield the documents with their ids; a row that repeats another one is named and left out."""
    rows = list(rows)
    keys = Counter(row.key for row in rows if not row.given)
    seen: dict[str, str] = {}
    for row in rows:
        document = row.document
        if not row.given:
            document_id = f"{document.document_id}#{_key(row, keys[row.key] == 1)}"
            if document_id in seen:
                yield Skipped(document.where, f"the same row as {seen[document_id]}")
                continue
            seen[document_id] = document.where
            document = replace(document, document_id=document_id)
        yield replace(document, given=row.given)


def _key(row: Named, alone: bool) -> str:
    key = " ".join(row.key.split())
    if alone and key and len(key) <= LONGEST_KEY:
        return key
    digest = hashlib.blake2b("\x1f".join(row.cells).encode("utf-8", "surrogatepass"), digest_size=4)
    return f"{key[:LONGEST_KEY]}~{digest.hexdigest()}" if key else digest.hexdigest()
