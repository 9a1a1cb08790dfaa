"""The buttons that download a report of a run or a comparison; it is written when one is pressed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from evalsets.reports.content import Report
from evalsets.reports.report import TEXTS, pdf, printer

KINDS = {
    "PDF": ("pdf", "application/pdf"),
    "HTML": ("html", "text/html"),
    "Markdown": ("md", "text/markdown"),
    "JUnit": ("xml", "application/xml"),
    "CSV": ("csv", "text/csv"),
    "JSON": ("json", "application/json"),
}


def buttons(report: Callable[[], Report], name: str) -> None:
    """Draw one button for each kind of report; `report` returns what the report says."""
    with st.container(horizontal=True, gap="small"):
        for kind, (ending, mime) in KINDS.items():
            lacking = kind == "PDF" and printer() is None
            st.download_button(
                f"Report as {kind}",
                data=lambda ending=ending: _written(report(), ending),
                file_name=f"{name}.{ending}",
                mime=mime,
                on_click="ignore",
                icon=":material/download:",
                disabled=lacking,
                help="A PDF needs Chromium on the console's machine; take HTML." if lacking else None,
            )


def _written(report: Report, ending: str) -> str | bytes:
    if ending != "pdf":
        return TEXTS["junit" if ending == "xml" else ending](report)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "report.pdf"
        pdf(report, path)
        return path.read_bytes()
