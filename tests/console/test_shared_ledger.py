"""Every window works on a ledger in PostgreSQL, and says in one line what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from console.alerts import check
from console.cli import app
from console.commands import doctor
from console.sole import sole
from pipeline import build
from pipeline.errors import ConfigurationError, KnowledgeError
from pipeline.knowledge.index import Knowledge
from pipeline.settings import load_settings
from pipeline.troubles import ledger_trouble
from tests.databases import Databases
from tests.recorded import record

GONE = "postgresql://ada:s3cret@127.0.0.1:1/turns"


@pytest.fixture
def address(postgres: Databases, monkeypatch: pytest.MonkeyPatch) -> str:
    address = postgres.fresh()
    monkeypatch.setenv("ANSWERDECK_LEDGER", address)
    return address


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def turns(count: int) -> list[str]:
    journal = build.journal(load_settings())
    keys = record(journal, count)
    journal.close()
    return keys


def test_the_traces_commands_alerts_and_doctor_work_on_it(address: str) -> None:
    keys = turns(3)
    assert call("traces", "drain").exit_code == 0
    listed = call("traces", "tail", "--json")
    assert sorted(row["turn_id"] for row in json.loads(listed.output)) == sorted(keys)
    assert json.loads(call("traces", "show", keys[0], "--json").output)["turn"]["turn_id"] == keys[0]
    assert "bounce keys" in call("traces", "search", "BOUNCE").output
    assert check(load_settings()).checked_at is not None
    found = next(doctor._traces(load_settings()))
    assert found.ok and found.detail.startswith("postgresql://")
    erased = json.loads(call("traces", "erase", "--user", "ada", "--yes", "--json").output)
    assert erased["complete"] and len(erased["turn_ids"]) == 3
    assert json.loads(call("traces", "tail", "--json").output) == []


async def test_doctor_says_all_else_when_the_documents_cannot_be_reached(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(self: Knowledge, *names: str) -> list[str]:
        raise KnowledgeError("the object store of the knowledge bases is overloaded", "store_refused")

    monkeypatch.setattr(Knowledge, "names", refused)
    monkeypatch.setattr(Knowledge, "status", refused)
    embedder, base = await doctor._knowledge(load_settings())
    assert embedder.ok
    assert base == doctor.DoctorCheck(
        "knowledge base default", False, "the object store of the knowledge bases is overloaded"
    )


def test_an_embedded_ledger_moves_into_it_by_one_command(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANSWERDECK_LEDGER")
    keys = turns(2)
    assert call("traces", "move").exit_code == 2
    done = call("traces", "move", "--from", "embedded", "--to", address)
    assert done.exit_code == 0 and "figures that agree" in done.output
    again = call("traces", "move", "--to", address)
    assert again.exit_code == 1 and "holds 2 of these turns already" in str(again.exception)
    monkeypatch.setenv("ANSWERDECK_LEDGER", address)
    assert {row["turn_id"] for row in json.loads(call("traces", "tail", "--json").output)} == set(keys)
    same = call("traces", "move", "--from", address)
    assert same.exit_code == 2 and "there is nothing to move" in same.output


def test_an_address_that_is_away_is_one_line_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_LEDGER", GONE)
    trouble = ledger_trouble(load_settings())
    assert trouble is not None and trouble.startswith("ledger: postgresql://127.0.0.1:1/turns cannot be")
    assert "\n" not in trouble and "s3cret" not in trouble
    failed = call("traces", "tail")
    assert failed.exit_code == 1 and "cannot be reached" in str(failed.exception)
    assert next(doctor._traces(load_settings())).ok is False


def test_a_wrong_address_ends_the_start_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_LEDGER", "mysql://ada:s3cret@host/db")
    with pytest.raises(ConfigurationError, match="ledger: no such engine") as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)
    monkeypatch.setenv("ANSWERDECK_LEDGER", "embedded")
    assert ledger_trouble(load_settings()) is None


def test_one_machine_of_a_ledger_has_peoples_own_documents(
    address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = load_settings(data_dir=tmp_path / "a", chat={"uploads": "private"})
    there = load_settings(data_dir=tmp_path / "b", chat={"uploads": "private"})
    with sole(here):
        with sole(here), sole(load_settings(data_dir=tmp_path / "b")):  # a second server; one without uploads
            pass
        with pytest.raises(ConfigurationError, match="ANSWERDECK_CHAT__UPLOADS=off"), sole(there):
            pass
    with sole(there):
        pass
    assert not caplog.records
    with sole(load_settings(data_dir=tmp_path / "c", chat={"uploads": "private"}, ledger=GONE)):
        assert "cannot be looked up" in caplog.text
        assert "s3cret" not in caplog.text
