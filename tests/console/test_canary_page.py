"""A canary is begun, watched and stopped on the Prompts page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.dashboard import releases
from pipeline.prompts.force import Force
from pipeline.prompts.library import Library
from tests.console.console_server import page, shown
from tests.factories import make_score, make_trace
from traces.ids import uuid7
from traces.journal import Journal

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

FINE = releases.Decision("answer@v1", ())


@pytest.fixture
def folder(prompts_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder beside a library with answer@v1, in force, and answer@v2."""
    monkeypatch.setenv("ANSWERDECK_PROMPTS__ANSWER", "answer@v1")
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(releases, "decision", lambda version: FINE)
    return tmp_path


def standing(folder: Path) -> Force:
    return Force(folder / "data" / "audit.jsonl", {"answer": "answer@v1", "condense": "condense@v1"})


def press(app: AppTest, label: str) -> AppTest:
    return next(one for one in app.button if one.label == label).click().run()


def answered(folder: Path, prompt: str, turns: int, *, down: int = 0) -> None:
    """Write live turns with their groundedness, the first few rated down."""
    journal = Journal(folder / "data" / "journal")
    for number in range(turns):
        turn_id = uuid7()
        journal.write(
            make_trace(
                turn_id=turn_id, prompt=prompt, door="api", started_at=datetime.now(UTC), outcome="answered",
                seconds=0.2 + number / 100, cost_usd=0.01,
            )
        )  # fmt: skip
        journal.write(
            make_score(turn_id, "groundedness", 0.8 + 0.01 * number, source="online", score_id=uuid7())
        )
        if number < down:
            journal.write(make_score(turn_id, "feedback", 0.0, source="user", score_id=uuid7()))
    journal.close()


def test_a_canary_is_begun_with_a_share_and_stopped(folder: Path) -> None:
    app = page("prompts", version="answer@v2")
    assert not app.exception
    app.slider[0].set_value(25).run()
    press(app, "Start the canary")
    canary = standing(folder).standing("answer").canary
    assert canary is not None
    assert (canary.label, canary.share) == ("answer@v2", 0.25)
    assert "canary 25%" in shown(app)
    press(app, "Stop the canary of answer@v2")
    assert standing(folder).standing("answer").canary is None
    (begun, ended) = standing(folder).changes()
    assert (begun.action, ended.action, ended.reason) == ("canary", "return", "from the console")


def test_both_versions_are_shown_with_intervals(folder: Path) -> None:
    version = Library(folder / "prompts").get("answer@v2")
    answered(folder, "answer@v1", 1)  # before it began: not counted
    standing(folder).change("answer@v2", version.fingerprint, action="canary", actor="ada", share=0.1)
    answered(folder, "answer@v2", 5, down=2)
    answered(folder, "answer@v1", 9)
    app = page("prompts")
    assert not app.exception
    html = next(part for part in shown(app).split("\n") if "Cost a turn" in part)
    canary, other = html.split("<b>answer@v1</b>")
    assert "10%" in canary and "90%" in other
    assert "0.820" in canary and "of 2" in canary and "of 5" in canary
    assert "0.840" in other and "of 9" in other
    assert "$0.01" in canary


def test_the_version_in_force_is_no_canary(folder: Path) -> None:
    app = page("prompts", version="answer@v1")
    assert "Start the canary" not in [one.label for one in app.button]
    assert any("answers everybody already" in caption.value for caption in app.caption)
