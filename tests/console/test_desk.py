"""Machines with one ledger share alerts, evalsets and who looks after what."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from console import alerts
from evalsets import assigned
from evalsets.cases import team
from evalsets.judges import reviews
from evalsets.release import gated
from pipeline import build
from pipeline.desk import desk
from pipeline.knowledge.standing import Lag
from pipeline.settings import Settings, load_settings
from tests.databases import Databases
from tests.factories import make_trace
from traces.alerts import rules, standing
from traces.alerts.standing import AlertMessage
from traces.queries import runs
from traces.records import Run

Machines = tuple[Settings, Settings]
HEAD = {"title": "Ours", "owner": "", "source": "written by hand"}


@pytest.fixture
def machines(postgres: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    monkeypatch.setenv("ANSWERDECK_LEDGER", postgres.fresh())
    monkeypatch.setenv("ANSWERDECK_ALERTS__WEBHOOKS", '["http://127.0.0.1:9/"]')
    return load_settings(data_dir=tmp_path / "north"), load_settings(data_dir=tmp_path / "south")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[AlertMessage]:
    messages: list[AlertMessage] = []

    def send(address: str, message: AlertMessage) -> str | None:
        messages.append(replace(message))
        return None

    monkeypatch.setattr("console.alerts.send", send)
    return messages


def wait_for_documents(settings: Settings, pending: int) -> None:
    """Leave documents that wait, long ago."""
    folder = settings.data_dir / "knowledge"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{settings.kb}.lag.json"
    Lag(pending).save(path)
    os.utime(path, (1, 1))


def states(settings: Settings) -> dict[str, Any]:
    return {key: alert.state for key, alert in alerts.standing(settings).standings.items()}


def test_an_alert_is_the_same_everywhere_and_told_once(machines: Machines, sent: list[AlertMessage]) -> None:
    north, south = machines
    wait_for_documents(north, 500)
    wait_for_documents(south, 500)
    alerts.check(north)
    assert states(south) == states(north)
    assert states(south)["index_lag"] == "firing"
    for settings in (south, north, south):
        alerts.check(settings)
        assert alerts.post(settings) == []
    assert [message.key for message in sent] == ["index_lag"]
    assert [row.event for row in standing.history(alerts.folder(south), key="index_lag")] == ["firing"]
    wait_for_documents(north, 0)
    wait_for_documents(south, 0)
    now = datetime.now(UTC)
    alerts.check(north, now + timedelta(minutes=1))
    alerts.check(south, now + timedelta(minutes=15))
    for settings in machines:
        assert alerts.post(settings, now + timedelta(minutes=16)) == []
    assert [message.event for message in sent] == ["firing", "over"]


def test_an_alert_of_a_machine_that_tells_nobody_is_told_by_another(
    machines: Machines, sent: list[AlertMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    north, south = machines
    silent = north.model_copy(update={"alerts": north.alerts.model_copy(update={"webhooks": []})})
    wait_for_documents(north, 500)
    wait_for_documents(south, 500)
    monkeypatch.setattr(
        "console.alerts.addresses",
        lambda settings: {} if settings is silent else {"hook": "http://127.0.0.1:9/"},
    )
    alerts.check(silent)
    alerts.check(south)
    alerts.post(south)
    assert [message.key for message in sent] == ["index_lag"]


def test_rules_mutes_gaps_and_the_gate_are_those_of_all(machines: Machines) -> None:
    north, south = machines
    rule = alerts.rule_book(north)["error_rate"]
    alerts.edit(north, rule, {"limit": 0.25}, by="ada", reason="noisy")
    assert alerts.rule_book(south)["error_rate"].limit == 0.25
    alerts.restore(south, alerts.rule_book(south)["error_rate"], 1, by="bob")
    assert alerts.rule_book(north)["error_rate"].limit == rule.limit
    assert [edit.by for edit in alerts.edits(north, "error_rate")] == ["ada", "bob"]
    alerts.mute(south, "error_rate", 4, by="bob")
    assert "error_rate" in alerts.standing(north).mutes
    with desk(north).together():
        assigned.note(north.data_dir, "how?", to="ada", closed=False, note="", by="bob")
        gated.choose(north, ["demo"])
    desk(south).look()
    assert assigned.read(south.data_dir)["how?"].to == "ada"
    assert load_settings(data_dir=south.data_dir).gate.evalsets == ["demo"]


def test_what_fails_changes_nothing_anywhere(machines: Machines) -> None:
    north, south = machines
    alerts.mute(north, "error_rate", 4, by="ada")
    with pytest.raises(rules.RuleError):
        alerts.mute(south, "nothing", 4, by="ada")
    with pytest.raises(ZeroDivisionError), desk(north).together():
        assigned.note(north.data_dir, "how?", to="ada", closed=False, note="", by="bob")
        raise ZeroDivisionError
    for settings in machines:
        desk(settings).look()
        assert list(alerts.standing(settings).mutes) == ["error_rate"]
        assert assigned.read(settings.data_dir) == {}


def test_own_evalsets_are_those_of_all(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    north, south = machines

    def on(settings: Settings) -> None:
        monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(settings.data_dir))

    on(north)
    team.save("ours", [{"id": "1", "question": "How?"}], HEAD)
    on(south)
    assert team.names() == ["ours"]
    team.add("ours", {"id": "2", "question": "Why?"})
    on(north)
    assert team.change("ours", "2", {"question": "Why not?"}).question == "Why not?"
    assert team.remove("ours", "1")
    on(south)
    team.delete("ours")
    on(north)
    assert team.names() == []


def test_alone_a_machine_goes_on_and_what_it_did_counts_after(
    machines: Machines, postgres: Databases, sent: list[AlertMessage]
) -> None:
    north, south = machines
    alerts.mute(north, "error_rate", 4, by="ada")
    alerts.check(south)
    desk(north).look()  # as a server does every few seconds
    wait_for_documents(north, 500)
    postgres.kill()
    try:
        alerts.check(north)
        assert alerts.post(north) == []
        assert states(north)["index_lag"] == "firing"
    finally:
        postgres.start()
    alerts.check(north)
    assert states(south)["index_lag"] == "firing"
    alerts.post(south)
    alerts.post(north)
    assert [message.key for message in sent] == ["index_lag"], "it was told while alone, and not again"


def test_of_two_that_were_alone_the_first_one_back_counts_and_no_line_is_lost(
    machines: Machines, postgres: Databases
) -> None:
    north, south = machines
    alerts.mute(north, "error_rate", 4, by="ada")
    alerts.standing(south)
    postgres.kill()
    try:
        alerts.mute(north, "index_lag", 4, by="ada")
        alerts.mute(south, "spend", 4, by="bob")
    finally:
        postgres.start()
    with desk(north).together():
        pass
    with desk(south).together():
        pass
    for settings in machines:
        assert sorted(alerts.standing(settings).mutes) == ["error_rate", "index_lag"]
    (aside,) = south.data_dir.glob("alert-history.jsonl.own-*")
    assert "spend" in aside.read_text()


def test_annotations_and_evalset_runs_are_rows_of_the_ledger(machines: Machines) -> None:
    north, south = machines
    trace = make_trace()
    journal = build.journal(north)
    journal.write(trace)
    journal.write(reviews.score(trace.turn.turn_id, "helpfulness", 4, "ada", None))
    journal.write(Run("r1", "ours", "f", "answer@v1", "finished", datetime.now(UTC)))
    journal.close()
    build.store(north).drain()
    with build.store(south).read() as ledger:
        assert [run.run_id for run in runs.runs(ledger)] == ["r1"]
        (row,) = ledger.rows("select name, user_id from scores where source = 'reviewer'")
    assert row == {"name": "helpfulness", "user_id": "ada"}
