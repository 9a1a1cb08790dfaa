"""The History page: a point a run, a marker a change, and the table of what changed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.console.console_server import page, shown
from traces.journal import Journal
from traces.queries import runs
from traces.store import Store

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest


def figure(app: AppTest) -> dict[str, Any]:
    """Return the chart of a page as plotly wrote it."""
    return json.loads(app.get("plotly_chart")[0].proto.spec)


def test_without_a_run_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    app = page("history")
    assert not app.exception
    assert "No finished runs yet" in shown(app)


def test_each_run_is_a_point_and_each_change_a_marker(
    five_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(five_runs))
    app = page("history")
    assert not app.exception
    traces = figure(app)["data"]
    *lines, marks = traces
    assert sum(len(line["x"]) for line in lines) == 4  # the run of retrieval alone has no groundedness
    assert len(figure(app)["layout"]["shapes"]) == len(marks["x"]) == 3
    assert "prompt answer@v1 → answer@v2" in marks["text"][0]
    html = shown(app)
    assert html.count("compare →") == 3
    assert "answer@v1 → answer@v2" in html


def test_one_variant_alone_did_not_change(five_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(five_runs))
    app = page("history")
    choice = next(one for one in app.selectbox if one.label == "Variant")
    choice.set_value("answer@v1 · anthropic:claude-haiku-5-5").run()
    assert not app.exception
    assert len(figure(app)["data"][0]["x"]) == 1
    assert "were the same in all these runs" in app.caption[-1].value


def test_a_bisections_trials_are_no_history(
    five_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(five_runs, folder)
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(folder))
    journal = Journal(folder / "journal")
    with Store(folder).read() as ledger:
        for run in runs.runs(ledger):
            if run.only is None:
                journal.write(replace(run, settings=replace(run.settings, trial="passages 5 → 1")))
    journal.close()
    app = page("history")
    assert not app.exception
    assert "No run has this metric" in shown(app)  # what is left is of retrieval alone
    metric = next(one for one in app.selectbox if one.label == "Metric")
    metric.set_value("hit@5").run()
    assert sum(len(line["x"]) for line in figure(app)["data"][:-1]) == 1
