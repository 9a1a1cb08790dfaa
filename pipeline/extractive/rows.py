"""Reads a table's row, or the "field: value" lines of a record, as one statement with its heads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from pipeline.text.code_blocks import together
from pipeline.text.sentences import stem, tokens

Span = tuple[int, int]
_FIELD = re.compile(r"[^\W\d_][^:\n|]{0,40}: +\S")
_WRITTEN = re.compile(r"; [^\W\d_][^:;\n|]{0,40}: +\S")
_SENTENCE = re.compile(r"[^:]+: +(?:\S+\s+){3,}\S*[.!?]\s*")  # a value of four words and a full stop
_BAR = re.compile(r"\s*\|.*\|\s*$")
ROW = re.compile(r"[^;\n]{1,60}: [^;\n]*; [^;\n]{1,60}: .*\.$")  # as `statements` writes it
_RULE = re.compile(r"\s*\|[\s:|-]+\|\s*$")


def statements(text: str, spans: Sequence[Span]) -> list[tuple[str, int, int]]:
    """Return the texts to be read as sentences, each with the first and last of the spans it stands for.

    Two or more lines of "field: value" in a row are one statement; a row of a Markdown table is
    written out with the heads of its columns, the head and its rule are no statements. Fenced code
    is one, with the words that lead to it.
    """
    read: list[tuple[str, int, int]] = []
    heads: list[str] = []
    units = {first: last for first, last in together(text, spans) if last > first}
    place = 0
    while place < len(spans):
        if place in units:
            start = text.rfind("\n", 0, spans[place][0]) + 1  # code keeps its indentation
            start = spans[place][0] if text[start : spans[place][0]].strip() else start
            read.append((text[start : spans[units[place]][1]], place, units[place]))
            place, heads = units[place] + 1, []
            continue
        line = text[slice(*spans[place])]
        if _BAR.match(line):
            cells = _cells(line)
            following = text[slice(*spans[place + 1])] if place + 1 < len(spans) else ""
            if _RULE.match(following):
                heads, place = cells, place + 2
                continue
            read.append((_row(heads, cells) or line, place, place))
            place += 1
            continue
        heads = []
        last = _record(text, spans, place)
        parts = [text[slice(*span)].rstrip(";,. ") for span in spans[place : last + 1]]
        row = last > place or (_FIELD.match(line) and _WRITTEN.search(line))
        read.append(("; ".join(parts) + "." if row else line, place, last))
        place = last + 1
    return read


def narrowed(question: str, row: str) -> str:
    """Return a row with its first column and those whose heads stand in the question, or the whole."""
    first, *others = row.removesuffix(".").split("; ")
    label, comma, _ = first.partition(": ")[0].rpartition(", ")
    columns = [first[len(label + comma) :], *others] if comma else others
    question_stems = _stems(question)
    heads = [f" {' '.join(map(stem, tokens(column.partition(': ')[0])))} " for column in columns]
    there = [head for head in heads if head.strip() and head in question_stems]
    fields = [
        column
        for column, head in zip(columns, heads, strict=True)
        if head in there and not any(head in longer for longer in there if longer != head)
    ]
    if not fields:
        return row
    return f"{label}, {'; '.join(fields)}." if comma else "; ".join([first, *fields]) + "."


@lru_cache(maxsize=16)  # asked for each row of a table
def _stems(text: str) -> str:
    return f" {' '.join(map(stem, tokens(text)))} "


def _record(text: str, spans: Sequence[Span], first: int) -> int:
    """Return the last of the spans that are one record with this one; a repeated field begins another."""
    last, names = first, set[str]()
    while last < len(spans) and (name := _field(text, spans[last])) and name not in names:
        if _WRITTEN.search(text[slice(*spans[last])]):  # a row already written out
            break
        if last > first and _parted(text, spans[last - 1], spans[last]):
            break
        names.add(name)
        last += 1
    return max(last - 1, first)


def _parted(text: str, before: Span, span: Span) -> bool:
    """Say whether two lines are entries by themselves: a line is free between them, or both are sentences."""
    apart = text.count("\n", before[1], span[0]) > 1
    return apart or all(_SENTENCE.fullmatch(text[slice(*each)]) for each in (before, span))


def _field(text: str, span: Span) -> str | None:
    """Return the field a line gives the value of; None when it is no such line."""
    before = text[: span[0]].rstrip(" ")
    alone = not before or before.endswith("\n")
    match = _FIELD.match(text[slice(*span)]) if alone else None
    return match.group().partition(":")[0].casefold() if match else None


def _cells(line: str) -> list[str]:
    """Return the cells of a row; a bar after a backslash is text."""
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def _row(heads: Sequence[str], cells: Sequence[str]) -> str:
    if not heads:  # the chunk before has them
        return f"{cells[0]}: {'; '.join(filter(None, cells[1:]))}." if len(cells) > 1 and cells[0] else ""
    if len(heads) != len(cells):
        return ""
    label = f"{cells[0]}, " if cells[0] and not heads[0] else ""  # many tables leave the corner empty
    named = [f"{head}: {cell}" for head, cell in zip(heads, cells, strict=True) if cell and head]
    return label + "; ".join(named) + "." if named else ""
