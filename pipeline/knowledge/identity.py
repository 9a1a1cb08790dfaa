"""Which stored document a read one is: a file keeps its name, two files of one name stay two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.knowledge.chunking import Chunk
from pipeline.knowledge.documents import Document

SAME_TABLE = 0.5  # share of rows in both that makes a table given anew the same table
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True)
class Stored:
    """What is kept of a stored document: its id, title, content hash and the file it came from."""

    document_id: str
    title: str
    content: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document cut and hashed, not yet compared with what is stored."""

    document: Document
    chunks: tuple[Chunk, ...]
    content: str

    def called(self, document_id: str) -> Prepared:
        """Return the same under another id."""
        if document_id == self.document.document_id:
            return self
        document = replace(self.document, document_id=document_id)
        chunks = tuple(
            replace(chunk, document_id=document_id, chunk_id=f"{document_id}#{chunk.position}")
            for chunk in self.chunks
        )
        return Prepared(document, chunks, self.content)


@dataclass(slots=True)
class ResolvedDocuments:
    """The documents under their final ids; `before` tells which file a file takes the place of."""

    prepared: list[Prepared] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    before: dict[str, str] = field(default_factory=dict)


def resolve(
    prepared: Sequence[Prepared], stored: Iterable[Stored], alone: frozenset[str]
) -> ResolvedDocuments:
    """Give every document the id it has or gets; `alone` are the files given by themselves."""
    by_source: dict[str, list[Prepared]] = {}
    for item in prepared:
        by_source.setdefault("" if item.document.given else item.document.source, []).append(item)
    names = _Names(stored, alone)
    names.reading = by_source.keys()
    result = ResolvedDocuments()
    for source, group in by_source.items():
        result.prepared += names.rename(source, group) if source else group
    result.notes, result.before = names.notes, names.before
    result.notes += _replaced(result.prepared, names.stored)
    return result


def shown(document_id: str, source: str) -> str | None:
    """Return the part of an id that names the file; None when the id does not come from it."""
    base = Path(source).name
    place = document_id.find(base) if base else -1
    end = place + len(base)
    whole = place >= 0 and (place == 0 or document_id[place - 1] == "/")
    return document_id[:end] if whole and document_id[end : end + 1] in ("", "#") else None


class _Names:
    """The names of files, each owned by one file."""

    def __init__(self, stored: Iterable[Stored], alone: frozenset[str]) -> None:
        self.stored = {document.document_id: document for document in stored}
        self.notes: list[str] = []
        self.before: dict[str, str] = {}
        self.reading: Iterable[str] = ()
        self._alone = alone
        self._of: dict[str, str] = {}
        self._owner: dict[str, str] = {}
        self._rows: dict[str, list[Stored]] = {}
        for piece in self.stored.values():
            self._rows.setdefault(piece.source, []).append(piece)
            name = shown(piece.document_id, piece.source) if piece.source else piece.document_id
            if name is not None:
                self._owner.setdefault(name, piece.source)
                if piece.source:
                    self._of.setdefault(piece.source, name)

    def rename(self, source: str, group: Sequence[Prepared]) -> Iterator[Prepared]:
        """Yield the file's documents under its name; a row that did not change keeps its id."""
        proposed = shown(group[0].document.document_id, source)
        if proposed is None:  # an over-long name was shortened
            yield from group
            return
        name = self._of.get(source) or self._choose(source, proposed, group)
        self._of[source], self._owner[name] = name, source
        before = self.before.get(source, source)
        ids = {name + row.document.document_id[len(proposed) :] for row in group}
        remaining = {
            row.content: row.document_id
            for row in self._rows.get(before, ())
            if row.document_id not in ids and shown(row.document_id, before) == name
        }
        for prepared in group:
            document_id = name + prepared.document.document_id[len(proposed) :]
            if document_id not in self.stored and prepared.content in remaining:
                document_id = remaining.pop(prepared.content)
            yield prepared.called(document_id)

    def _choose(self, source: str, proposed: str, group: Sequence[Prepared]) -> str:
        """Return the first of a file's names that no other file has, or whose file it takes the place of."""
        for name in _candidates(proposed, source):
            owner = self._owner.get(name)
            if owner is None or owner in ("", source):
                return name
            if owner in self.reading:
                continue
            if not Path(owner).exists():
                self.before[source] = owner
                self.notes.append(f"{name} takes the place of {owner}, which is no longer there")
                return name
            if source in self._alone and self._same_table(name, owner, group):
                self.before[source] = owner
                self.notes.append(
                    f"{name} replaces the table of the same name from {Path(owner).parent}; to keep both,"
                    " give their folders or other names"
                )
                return name
            self.notes.append(f"{proposed} of {Path(source).parent} is kept apart from {owner}")
        return proposed

    def _same_table(self, name: str, owner: str, group: Sequence[Prepared]) -> bool:
        """Say whether a table given anew shares half of its rows' keys with the stored one."""
        if not owner.lower().endswith(TABLES):
            return False
        old = {row.document_id[len(name) :] for row in self._rows.get(owner, ())}
        new = {row.document.document_id.partition("#")[2] for row in group}
        new = {f"#{key}" for key in new if key}
        return bool(old and new) and len(old & new) >= SAME_TABLE * min(len(old), len(new))


def _candidates(proposed: str, source: str) -> Iterator[str]:
    """Yield the name a file is proposed under, then with more and more of its folders before it."""
    yield proposed
    parts = Path(source).parts[1:]
    for count in range(proposed.count("/") + 2, len(parts) + 1):
        yield "/".join(parts[-count:])
    yield source


def _replaced(prepared: Sequence[Prepared], stored: Mapping[str, Stored]) -> list[str]:
    """Name the ids given by two files: the later one replaces the earlier."""
    notes: list[str] = []
    for item in prepared:
        before = stored.get(item.document.document_id)
        changed = before is not None and item.document.given and item.content != before.content
        if before and changed and before.source not in ("", item.document.source):
            notes.append(
                f"{item.document.document_id} of {item.document.where} replaces the document with that id"
                f" from {before.source}"
            )
    return notes
