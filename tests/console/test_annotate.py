"""People grade turns with keys, and make cases of them, in the console."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from console.dashboard.views.case import Added
from evalsets.cases import cases
from tests.console.console_server import page, shown
from tests.factories import make_passage, make_turn
from traces.ids import uuid7
from traces.journal import Journal
from traces.queries import reviews as asked
from traces.records import Payload, Score, Trace
from traces.store import Store


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def turns(folder: Path) -> list[Trace]:
    """Three turns, the newest one thumbed down."""
    found: list[Trace] = []
    journal = Journal(folder / "journal")
    for question in ("How do I print?", "How do I scan?", "How do I fax?"):
        turn = make_turn(question=question, answer="Open Settings [1].")
        found.append(Trace(turn, Payload(turn.turn_id), passages=(make_passage(turn.turn_id),)))
        journal.write(found[-1])
    thumb = Score(uuid7(), found[-1].turn.turn_id, "feedback", -1.0, "user", turn.started_at, user_id="ada")
    journal.write(thumb)
    journal.close()
    return found


def test_grades_are_scores_of_the_reviewer_and_lead_on(folder: Path, turns: list[Trace]) -> None:
    app = page("annotate", queue="Random sample", **{"as": "ben"})
    assert not app.exception
    assert "0 of 3 reviewed by ben" in app.get("progress")[0].proto.text
    app.button(key="grade-4").click().run()
    app.text_input(key="comment-0").set_value("clear").run()
    app.button(key="grade-5").click().run()
    assert not app.exception
    assert "1 of 3 reviewed by ben" in app.get("progress")[0].proto.text
    assert any("turn 2 of 3" in one.value for one in app.caption)
    with Store(folder).read() as ledger:
        rows = asked.given(ledger)
    assert [(row.name, row.value, row.reason, row.user_id) for row in rows] == [
        ("faithfulness", 0.75, None, "ben"),
        ("helpfulness", 1.0, "clear", "ben"),
    ]


def test_a_name_is_asked_for_and_an_empty_queue_says_so(turns: list[Trace]) -> None:
    assert "Who are you?" in shown(page("annotate"))
    assert "Nothing waits here" in shown(page("annotate", queue="Low groundedness", **{"as": "ben"}))
    assert "No grades yet" in shown(page("annotate"))


def test_a_turn_becomes_a_case_and_no_case_again(folder: Path, turns: list[Trace]) -> None:
    app = page("turns", turn=turns[-1].turn.turn_id)
    app.button(key="add-case").click().run()
    assert not app.exception
    assert [area.value for area in app.text_area][:2] == ["How do I fax?", ""]  # nobody liked the answer
    assert app.multiselect[0].value == []
    assert app.toggle[0].value is False
    app = AppTest.from_function(_open_form, default_timeout=30)  # a dialog is no fragment under AppTest
    app.session_state["turn_id"] = turns[-1].turn.turn_id
    app.run().button(key="save-case").click().run()
    app.button(key="save-case").click().run()
    assert "asks the same already" in app.error[0].value or "is there already" in app.error[0].value
    (case,) = cases.load_evalset("from_turns").cases
    assert (case.question, case.reference, case.relevant_ids, case.tags) == (
        "How do I fax?",
        None,
        None,
        [f"turn:{turns[-1].turn.turn_id}", "thumbs-down"],
    )
    assert app.session_state["case_added"].evalset == "from_turns"
    app = page("turns", turn=turns[-1].turn.turn_id)
    app.session_state["case_added"] = Added(turns[-1].turn.turn_id, "from_turns", case.case_id)
    app.run().button(key="undo-case").click().run()
    assert not app.exception
    assert not list((folder / "evalsets").iterdir())
    assert "/turns?rating=down" in shown(page("turns"))


def _open_form() -> None:
    import streamlit as st

    from console.dashboard import data
    from console.dashboard.views import case

    found = data.read_turn(st.session_state["turn_id"])
    assert found is not None
    case._form(found[0])
