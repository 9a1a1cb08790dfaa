"""The buttons that download a report of a run or a comparison; it is written when one is pressed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

KINDS = {"HTML": ("html", "text/html"), "Markdown": ("md", "text/markdown"), "CSV": ("csv", "text/csv")}


def buttons(made: Callable[[], dict[str, Any]], name: str) -> None:
    """Draw one button for each kind of report; `made` returns what the report says."""
    with st.container(horizontal=True, gap="small"):
        for kind, (ending, mime) in KINDS.items():
            st.download_button(
                f"Report as {kind}",
                data=lambda ending=ending: _written(made(), ending),
                file_name=f"{name}.{ending}",
                mime=mime,
                on_click="ignore",
                icon=":material/download:",
            )


def _written(report: dict[str, Any], ending: str) -> str:
    from evalsets.reports import report as reports

    return reports.TEXTS[ending](report)
