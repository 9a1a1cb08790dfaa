"""Cuts a document into chunks: whole when small, else at paragraphs and sentences."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.knowledge.documents import Document
from pipeline.text.code_blocks import together
from pipeline.text.questions import asks, under
from pipeline.text.sentences import sentences

LONGEST = 220  # estimated word pieces of a chunk; the embedder reads 256, title included
LONGEST_CODE = 4 * LONGEST  # of a block of code that is not cut; its beginning is what the embedder reads
BEGINNING = "#0"  # ends the id of a document's first chunk
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stored piece of a document; `spans` are its sentences' (start, end) offsets in `text`."""

    chunk_id: str
    document_id: str
    title: str
    url: str
    text: str
    position: int
    spans: tuple[tuple[int, int], ...]

    @property
    def embedded(self) -> tuple[str, tuple[tuple[int, int], ...]]:
        """The text an embedder reads, title first, and the spans' offsets in it."""
        if not self.title or self.text.startswith(self.title):
            return self.text, self.spans
        head = f"{self.title}\n"
        return head + self.text, tuple((start + len(head), end + len(head)) for start, end in self.spans)

    @property
    def searched(self) -> str:
        """The text the full-text index reads: title and text, compatibility forms folded."""
        return unicodedata.normalize("NFKC", self.embedded[0])


def chunk(document: Document, longest: int = LONGEST) -> list[Chunk]:
    """Return the document's chunks in order; a document without text has none."""
    spans = sentences(document.text)
    return [
        Chunk(
            chunk_id=f"{document.document_id}#{position}",
            document_id=document.document_id,
            title=document.title,
            url=document.url,
            text=document.text[group[0][0] : group[-1][1]],
            position=position,
            spans=tuple((start - group[0][0], end - group[0][0]) for start, end in group),
        )
        for position, group in enumerate(_groups(document.text, spans, longest))
    ]


def _groups(text: str, spans: list[tuple[int, int]], longest: int) -> list[list[tuple[int, int]]]:
    """Pack sentences into groups of about equal size, ending at a paragraph where one is near.

    Fenced code stays with the words that lead to it, unless both are too long for one.
    """
    sizes = [_pieces(text[start:end]) for start, end in spans]
    total = sum(sizes)
    if total <= longest:
        return [spans] if spans else []
    ideal = total / -(-total // longest)
    groups: list[list[tuple[int, int]]] = [[]]
    filled = 0
    for first, last in _units(text, spans, sizes):
        size = sum(sizes[first : last + 1])
        breaks = first > 0 and "\n" in text[spans[first - 1][1] : spans[first][0]]
        if groups[-1] and (filled + size > longest or filled >= ideal * (0.8 if breaks else 1.0)):
            groups.append([])
            filled = 0
        groups[-1] += spans[first : last + 1]
        filled += size
    return groups


def _units(text: str, spans: list[tuple[int, int]], sizes: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and last sentence of what a cut must not part."""
    for first, last in _answered(text, spans, sizes, together(text, spans)):
        if sum(sizes[first : last + 1]) <= LONGEST_CODE:
            yield first, last
        else:
            yield from ((number, number) for number in range(first, last + 1))


def _answered(
    text: str, spans: list[tuple[int, int]], sizes: list[int], units: list[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Yield the units, a question of the text and what stands under it as one where a chunk has room."""
    texts = [text[start:end] for start, end in spans]
    done = 0
    for first, last in units:
        if first < done:
            continue
        answer = under(texts, first) if first == last and asks(texts[first]) else range(0)
        if answer and sum(sizes[first : answer.stop]) <= LONGEST:
            last = answer.stop - 1
        done = last + 1
        yield first, last


def _pieces(text: str) -> int:
    """Estimate the word pieces of a text: one a word or mark, another per seven letters more."""
    return sum(1 + (len(word) - 1) // 7 for word in _WORD.findall(text))
