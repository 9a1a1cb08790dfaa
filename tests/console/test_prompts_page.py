"""The Prompts page: versions, the difference, a new version, the gate's reasons, the log."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from console.dashboard import releases
from console.dashboard.releases import Decision
from evalsets.release.verdict import Evidence
from pipeline.prompts.force import Force
from pipeline.prompts.library import Library
from tests.console.console_server import page, shown

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

NEEDS = "needs evalset demo: answer@v2 was not run on this fingerprint"
HELD = Decision("answer@v1", (Evidence("demo", "answer@v1", 9, ("answer@v2",), None, (NEEDS,)),))
FINE = Decision("answer@v1", (Evidence("demo", "answer@v1", 9, (), None, ()),))


@pytest.fixture
def library(prompts_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setattr(releases, "decision", lambda version: HELD)
    return Library(prompts_folder)


def force(tmp_path: Path) -> Force:
    return Force(tmp_path / "data" / "audit.jsonl", {"answer": "answer@v1", "condense": "condense@v1"})


def button(app: AppTest, label: str) -> bool:
    """Return whether the button is disabled."""
    return next(one for one in app.button if one.label == label).disabled


def test_a_candidate_is_held_back_with_the_reasons(library: Library) -> None:
    app = page("prompts", version="answer@v2")
    assert not app.exception
    html = shown(app)
    assert "answer@v2 is held back" in html
    assert NEEDS in html
    assert button(app, "Promote")
    assert not button(app, "Run the evals")
    assert button(app, "Override the gate")


def test_a_passed_one_may_be_promoted(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "decision", lambda version: FINE)
    asked: list[str] = []
    monkeypatch.setattr(releases, "promote", lambda label, reason=None: asked.append(label))
    app = page("prompts", version="answer@v2")
    assert "answer@v2 may take the place of answer@v1" in shown(app)
    next(one for one in app.button if one.label == "Promote").click().run()
    assert asked == ["answer@v2"]


def test_the_difference_is_marked_and_escaped(library: Library) -> None:
    html = shown(page("prompts", version="answer@v2"))
    assert "very &lt;short&gt;" in html
    assert "<mark" in html
    assert "<short>" not in html


def test_a_new_version_is_checked_before_it_is_saved(library: Library) -> None:
    app = page("prompts", version="answer@v2")
    area = next(one for one in app.text_area if one.label == "Text")
    area.set_value(str(area.value).replace("{{question}}", "the question")).run()
    next(one for one in app.button if one.label == "Save as a new version").click().run()
    assert "placeholders" in app.error[0].value
    assert not (library.folder / "answer" / "v3.md").exists()
    area = next(one for one in app.text_area if one.label == "Text")
    area.set_value(library.get("answer@v2").text.replace("Do not guess.", "Never guess.")).run()
    next(one for one in app.button if one.label == "Save as a new version").click().run()
    assert "Never guess." in library.get("answer@v3").text
    assert not app.exception and app.selectbox(key="version").value == "answer@v3"


def test_going_back_is_written_to_the_log(library: Library, tmp_path: Path) -> None:
    version = library.get("answer@v2")
    force(tmp_path).change("answer@v2", version.fingerprint, action="promote", actor="ada")
    app = page("prompts", version="answer@v2")
    assert "in force" in shown(app)
    next(one for one in app.button if one.label == "Go back").click().run()
    assert force(tmp_path).label("answer") == "answer@v1"
    assert [change.action for change in force(tmp_path).changes()] == ["promote", "rollback"]
    assert "rollback" in shown(app)


def test_an_altered_log_is_a_problem_not_a_crash(library: Library, tmp_path: Path) -> None:
    version, standing = library.get("answer@v2"), force(tmp_path)
    standing.change("answer@v2", version.fingerprint, action="promote", actor="ada")
    entry = json.loads(standing.path.read_text())
    standing.path.write_text(json.dumps({**entry, "actor": "eve"}) + "\n")
    app = page("prompts", version="answer@v2")
    assert not app.exception
    assert "audit log cannot be trusted" in app.error[0].value


def test_the_playground_shows_both_answers(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    from console.dashboard.views import playground

    side = {
        "turn_id": "t1", "prompt": "answer@v1", "prompt_fingerprint": "0123abcd", "model": "extractive",
        "outcome": "answered", "answer": "Press <it>. [1]", "seconds": 0.1, "first_token_seconds": 0.05,
        "input_tokens": 10, "output_tokens": 5, "cost_usd": 0.0, "index_version": "v1",
        "hit": True, "passages": 1, "citations": 1, "support": 0.9,
        "support_reason": "grounded 0.90", "placed": [{"n": 1, "title": "Keys", "cited": True}],
    }  # fmt: skip
    after = {**side, "answer": "Do not."}
    played = playground.ReplayedTurn.read({"before": side, "after": after, "same_passages": True})
    monkeypatch.setattr(playground, "_ask", lambda turn, prompt, model, fresh: played)
    app = page("playground", turn="t1")
    next(one for one in app.button if one.label == "Ask again").click().run()
    assert not app.exception
    html = shown(app)
    assert "Press &lt;it&gt;. [1]" in html
    assert "Do not." in html


def test_the_playground_agrees_to_the_price_and_says_when_it_takes_too_long(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    from console.dashboard import data

    calls: list[dict[str, Any]] = []

    def late(command: Sequence[str], **options: Any) -> None:
        calls.append({"command": command, **options})
        raise subprocess.TimeoutExpired(list(command), options["timeout"])

    monkeypatch.setattr(data, "find_turns", lambda turn: [turn])
    monkeypatch.setattr(subprocess, "run", late)
    app = page("playground", turn="t1")
    next(one for one in app.button if one.label == "Ask again").click().run()
    assert not app.exception
    assert "longer than 120 seconds" in app.error[0].value
    assert "--yes" in calls[-1]["command"]  # a paid model asks nobody at a terminal that no one sees
    assert calls[-1]["stdin"] == subprocess.DEVNULL


def test_the_playground_names_an_unknown_turn(library: Library) -> None:
    app = page("playground", turn="nope")
    next(one for one in app.button if one.label == "Ask again").click().run()
    assert "no turn with this id" in app.error[0].value
