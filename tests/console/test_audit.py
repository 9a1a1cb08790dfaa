"""Who changed what: each change has its line with the person's name, and a broken log hides no other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from console import alerts
from console.audit import named, read
from evalsets.cases import cases, team
from evalsets.release import gated
from pipeline import deeds
from pipeline.access import passwords
from pipeline.access.people import People
from pipeline.auth import Keys
from pipeline.configuration.data_folder import DataFolder
from pipeline.settings import Settings, load_settings
from tests.console.console_server import forgetting, page, shown
from tests.console.terminal import Terminal

CASE = {"id": "c1", "question": "How?"}


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[People]:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(passwords, "COST", (2**10, 8, 1))
    opened = People(DataFolder(tmp_path).people, Keys(""))
    with forgetting(opened):
        yield opened


def change_everything(settings: Settings, people: People) -> None:
    """Change one thing of each kind as ada."""
    rule = alerts.rule_book(settings)["error_rate"]
    alerts.edit(settings, rule, {"limit": 0.05}, by="ada", reason="too loud")
    alerts.make(settings, rule, "sales", by="ada")
    alerts.mute(settings, "error_rate@sales", 2.0, by="ada")
    people.add_user("bob", "editor", "correct horse battery", "ada")
    people.new_key("robot", "user", "ada")
    people.workspaces.add("sales", "ada")
    with deeds.acting(lambda: "ada"), cases.belonging("sales"):
        team.save("ours", [CASE], {"title": "Ours"})
        team.add("ours", {"id": "c2", "question": "Why?"})
        team.change("ours", "c2", {"question": "Who?"})
        assert team.remove("ours", "c2") and not team.remove("ours", "nowhere")
        team.delete("ours")
    with deeds.acting(lambda: "ada"):
        gated.choose(settings, ["everyday"])
        deeds.note(settings, "knowledge base manual: back to v1")


def test_each_kind_of_change_has_its_line_with_who_did_it(people: People, tmp_path: Path) -> None:
    settings = load_settings()
    change_everything(settings, people)
    path = tmp_path / deeds.DEEDS
    path.write_text(path.read_text() + '{"at": "half a li')
    audit = read(settings, people)
    lines = [named(deed, several=True).what for deed in audit.deeds]
    assert not audit.troubles and {deed.who for deed in audit.deeds} == {"ada"}
    assert lines[:2] == ["knowledge base manual: back to v1", "gate: demo → everyday"]
    evalset = ["deleted", "a case removed", "a case changed", "a case added", "saved"]
    assert lines[2:7] == [f"sales: evalset ours: {what}" for what in evalset]
    rest = " / ".join(lines[7:])
    for what in (
        "workspace added sales", "key made robot", "user added bob", "sales: alert error_rate@sales: muted",
        "sales: alert rule error_rate@sales: on: off → on", "alert rule error_rate: limit: 0.01 → 0.05",
    ):  # fmt: skip
        assert what in rest
    assert not any(word in line for line in lines for word in ("correct horse", "{", "c2"))


def test_a_log_that_cannot_be_read_is_named_and_hides_no_other(people: People, tmp_path: Path) -> None:
    people.workspaces.add("sales", "ada")
    (tmp_path / "alert-rules.jsonl").write_text("nonsense\n")
    (tmp_path / "audit.jsonl").write_text('{"at": 1}\n')
    app = page("configuration", of="Audit")
    assert not app.exception and not app.error
    said = " ".join(warning.value for warning in app.warning)
    assert "log of alert rules" in said and "log of prompts" in said
    assert "workspace added sales" in shown(app)


def test_the_audit_is_searched_by_the_address(people: People) -> None:
    for name in ("sales", "support"):
        people.workspaces.add(name, "ada")
    html = shown(page("configuration", of="Audit", deed="SUPPORT"))
    assert "added support" in html and "added sales" not in html


def test_commands_leave_a_line_too(
    people: People, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Terminal(monkeypatch, capsys)
    run.works("prompts", "new", "answer")
    assert [deed.what for deed in deeds.deeds(load_settings())] == ["prompt answer@v2 begun"]
    assert deeds.deeds(load_settings())[0].who == deeds.actor()
    assert deeds.deeds(load_settings())[0].at <= datetime.now(UTC)


def _dialog() -> None:
    """Draw the dialog alone, as Streamlit does when something is pressed in it."""
    from console.dashboard.views import case
    from tests.factories import make_trace

    case._form(make_trace(turn_id="t1", question="Where?"))


def test_a_case_of_a_turn_goes_to_the_evalsets_of_who_looks(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from console.dashboard import visitor

    people.workspaces.add("sales", "ada")
    people.add_user("eva", "editor", "correct horse battery", "ada", "sales")
    token = people.sign_in("eva", "correct horse battery", "")
    monkeypatch.setattr(visitor, "token", lambda: token)
    app = AppTest.from_function(_dialog, default_timeout=60).run()
    next(button for button in app.button if button.label == "Save case").click().run()
    assert not app.exception
    assert (tmp_path / "workspaces/sales/evalsets/from_turns.jsonl").exists()
    assert not (tmp_path / "evalsets").exists()
    newest = deeds.deeds(load_settings())[-1]
    assert (newest.who, newest.what, newest.workspace) == ("eva", "evalset from_turns: a case added", "sales")
