"""What an evalset's finished runs measured over time, for the History page."""

from __future__ import annotations

from typing import Any

import streamlit as st

from console.dashboard import data
from evalsets.metrics import columns
from traces.queries import runs

FRESH_SECONDS = 10


@st.cache_data(ttl=FRESH_SECONDS, max_entries=50, show_spinner=False)
def means(evalset: str, metric: str) -> dict[str, dict[str, Any]]:
    """Return {run: its mean with interval and n} of a metric."""
    with data.ledger() as opened:
        by_run = runs.history(opened, evalset, metric)
    found = {
        run_id: columns.summary(columns.columns(scores)).get(metric) for run_id, scores in by_run.items()
    }
    return {run_id: one for run_id, one in found.items() if one is not None and one["mean"] is not None}


@st.cache_data(ttl=FRESH_SECONDS, max_entries=50, show_spinner=False)
def metrics(evalset: str) -> list[str]:
    """Return what the finished runs of an evalset were scored on."""
    with data.ledger() as opened:
        return runs.metrics(opened, evalset)
