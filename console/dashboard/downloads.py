"""Tables to take away: CSV that no spreadsheet runs as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import streamlit as st

from evalsets.reports.report import inert

Rows = Sequence[dict[str, Any]]
MOST_ROWS = 50_000


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
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\r\n")
    if rows:
        lines.writerow(rows[0])
    for row in rows[:MOST_ROWS]:
        lines.writerow([_cell(value) for value in row.values()])
    return out.getvalue().encode("utf-8")


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else inert(value)
