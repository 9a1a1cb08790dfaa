"""Health, Models & prompts, Retrieval, Settings & audit."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.dashboard import bases, intervals, jobs, readiness
from console.dashboard.views import health
from pipeline.knowledge.standing import Status
from tests.console.console_server import page, shown
from tests.factories import make_trace
from traces.journal import Journal

READY = {
    "state": "degraded", "running_turns": 3, "waiting_turns": 0,
    "dependencies": [{"name": "knowledge", "state": "degraded", "detail": "no <b>index</b>"}],
    "breakers": [{"name": "openai:gpt", "state": "open"}],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    journal = Journal(tmp_path / "journal")
    for number in range(3):
        journal.write(make_trace(started_at=datetime.now(UTC), door="chat", hit=number > 0, kb="handbook"))
    journal.close()
    return tmp_path


def test_health_shows_parts_drain_and_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "report", lambda port: READY)
    app = page("health")
    html = shown(app)
    assert not app.exception
    assert "no &lt;b&gt;index&lt;/b&gt;" in html and "breaker openai:gpt" in html
    assert "Disk free" in html and "Last drained" in html
    monkeypatch.setattr(readiness, "report", lambda port: {})
    assert "The chat does not answer" in shown(page("health"))


def test_a_drill_is_started_and_its_report_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys,pathlib; print('scene 1'); pathlib.Path(sys.argv[-1]).write_text('# All holds')"
    monkeypatch.setattr(jobs, "COMMAND", (sys.executable, "-c", code, "eval", "run"))
    app = page("health")
    next(one for one in app.button if one.label == "Start a drill").click().run()
    (job,) = jobs.remembered(folder, health.DRILLS).values()
    until = time.monotonic() + 60
    while jobs.alive(job) and time.monotonic() < until:
        time.sleep(0.05)
    app = page("health")
    assert not app.exception
    assert "# All holds" in [one.value for one in app.markdown]
    (folder / health.DRILLS / f"{job.run_id}.md").unlink()
    assert "ended without a report" in page("health").error[0].value


def test_models_and_retrieval_show_live_figures(folder: Path) -> None:
    html = shown(page("models"))
    assert "answer@v1" in html and "66.7%" in html
    html = shown(page("searches"))
    assert "66.7%" in html and "cited in the answer" in html and "handbook" in html


def test_settings_are_searched_and_hide_secrets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    app = page("configuration")
    html = shown(app)
    assert "retrieval.passages" in html and "sk-hidden" not in html
    app.text_input[0].set_value("floor").run()
    assert "retrieval.floor" in shown(app) and "retrieval.passages" not in shown(app)
    assert "Nothing was changed yet" in shown(page("configuration", of="Audit"))


def test_intervals_say_only_what_was_measured() -> None:
    assert intervals.mean(None, None, 0, str) == "—" and intervals.share(0, 0) == "—"
    assert "n 1" in intervals.mean(2.0, None, 1, str)
    assert "50.0%" in intervals.share(1, 2) and intervals.grounded(1.2) == "1.000"


def test_retrieval_shows_lag_and_canary(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = [
        Status(
            "a<b>", "v3", 12, 90, "e", 1, pending=4, failed={"x": "y"}, lag_seconds=90.0, index="99 of 100"
        ),
        Status("broken", None, 0, 0, None, 0, problem="its table is damaged"),
        Status("small", "v1", 1, 2, "e", 1),
    ]
    monkeypatch.setattr(bases, "statuses", lambda: statuses)
    html = shown(page("searches"))
    for piece in ("a&lt;b&gt;", "90.00 s", "99 of 100", "its table is damaged", "every passage"):
        assert piece in html, piece
    monkeypatch.setattr(bases, "statuses", list)
    assert "Canary" not in shown(page("searches"))
