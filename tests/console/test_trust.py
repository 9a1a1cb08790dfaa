"""The agreement of scorers with people is shown where grades and runs are looked at."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from console.dashboard import agreement, data, installed
from evalsets.judges.calibration import Calibration, remember
from tests.console.console_server import page, shown
from tests.factories import make_trace
from traces.journal import Journal

JUDGE = "ragas-0.4.3/openai:<b>@1a2b"


def made(**changed: Any) -> Calibration:
    values: dict[str, Any] = {
        "metric": "faithfulness", "scorer": JUDGE, "labelled": "mine", "fingerprint": "f",
        "kind": "spearman",
        "value": 0.61, "ci_low": 0.52, "ci_high": 0.69, "n": 1300, "failed": 2, "not_applicable": 0,
        "people": None, "made_at": "2026-11-23T07:00:00+00:00",
    }  # fmt: skip
    return Calibration(**{**values, **changed})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    installed.settings.clear()
    return tmp_path


def test_each_scorer_has_its_agreement_floor_and_standing(folder: Path) -> None:
    assert agreement.table() == ""
    remember(folder, made())
    remember(folder, made(metric="factual_correctness", value=0.62, kind="auc", ci_low=None, ci_high=None))
    remember(folder, made(metric="groundedness", scorer="answerdeck@1", value=0.1))
    html = agreement.table()
    assert "openai:&lt;b&gt;" in html
    assert "0.52 – 0.69" in html and "1,300" in html and "2 failed" in html
    assert html.count("✓ trusted") == 1 and html.count("✕ not trusted") == 1
    assert html.count("needs no leave") == 1
    assert "0.40" in html and "0.70" in html  # the floor on each scale
    assert "factual" not in agreement.table({"faithfulness"}).lower()


def test_annotate_and_runs_show_it(folder: Path, five_runs: Path) -> None:
    shutil.copytree(five_runs, folder, dirs_exist_ok=True)
    remember(folder, made(metric="groundedness", scorer="answerdeck@1"))
    assert "Spearman" in shown(page("annotate"))
    run = next(run for run in data.read_runs() if run.only is None)
    assert "Spearman" in shown(page("evals", run=run.run_id))


def test_a_turn_opens_in_the_playground(folder: Path) -> None:
    trace = make_trace()
    journal = Journal(folder / "journal")
    journal.write(trace)
    journal.close()
    assert f"/playground?turn={trace.turn.turn_id}" in shown(page("turns", turn=trace.turn.turn_id))
