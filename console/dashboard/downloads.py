"""Tables to take away: CSV that no spreadsheet runs as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import streamlit as st

from evalsets.reports.report import inert

Rows = Sequence[dict[str, Any]]


def button(rows: Rows | Callable[[], Rows], name: str) -> None:
    """Draw the button that downloads rows as `name`.csv; a function is called when it is pressed."""
    st.download_button(
        "CSV",
        data=lambda: text(rows() if callable(rows) else rows),
        file_name=f"{name}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"csv-{name}",
        help="All rows of this table, times in UTC.",
    )


def text(rows: Rows) -> bytes:
    """Return rows as CSV under the names of the first; texts that begin like a formula are made inert."""
    return b"".join(lines([rows]))


def lines(pieces: Iterable[Rows]) -> Iterator[bytes]:
    """Yield rows as CSV, a piece at a time, under the names of the first row."""
    head = True
    for rows in pieces:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        if head and rows:
            writer.writerow([inert(name) for name in rows[0]])
            head = False
        for row in rows:
            writer.writerow([_cell(value) for value in row.values()])
        yield out.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else inert(value)
