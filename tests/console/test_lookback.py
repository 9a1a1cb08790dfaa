"""`eval reproduce` and `eval bisect` as a user runs them: their words and exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from console.cli import app
from evalsets.reports import findings, report
from traces.queries import runs
from traces.store import Store


@pytest.fixture
def folder(five_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with the five made-up runs, and the report of one."""
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path / "data"))
    shutil.copytree(five_runs, tmp_path / "data")
    with Store(tmp_path / "data").read() as ledger:
        run = next(run for run in runs.runs(ledger) if run.only is None)
        report.write(findings.of_run(ledger, run.run_id), "json", tmp_path / "report.json")
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["eval", *arguments])


def test_reproduce_exits_by_what_it_found(folder: Path) -> None:
    path = folder / "report.json"
    same = call("reproduce", str(path))
    assert same.exit_code == 0 and same.stdout.startswith("The same table:")
    told = json.loads(path.read_text())
    told["metrics"][0]["n"] += 1
    path.write_text(json.dumps(told))
    other = call("reproduce", str(path), "--json")
    assert other.exit_code == 1
    found = json.loads(other.stdout)
    assert found["same"] is False
    assert found["differs"][0].startswith(f"{told['metrics'][0]['name']}: n was")


def test_what_cannot_be_looked_back_at_is_wrong(folder: Path) -> None:
    path = folder / "report.json"
    told = json.loads(path.read_text())
    told["run"]["run_id"] = "gone"
    path.write_text(json.dumps(told))
    lost = call("reproduce", str(path))
    assert lost.exit_code == 2 and "--rerun asks the cases again" in lost.stderr
    assert call("reproduce", str(folder / "missing.json")).exit_code == 2
    assert call("bisect", "hit@5", "--good", "gone", "--bad", "latest").exit_code == 2
    same = call("bisect", "hit@5", "--good", "latest", "--bad", "latest")
    assert same.exit_code == 2
