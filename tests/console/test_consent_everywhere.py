"""Every command that would ask a paid model refuses alike where nobody can be asked for consent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evalsets.metrics.metric import Measured
from evalsets.metrics.scores import score_of
from pipeline.rehearsal.server import FaultServer
from tests.console.terminal import Terminal, terminal
from traces.journal import Journal
from traces.queries import runs
from traces.records import Case
from traces.store import Store

__all__ = ["terminal"]

PAID = "openai:gpt-6-luna"
KEYS = "# Bounce keys\n\nBounce keys skip a key that is pressed again too soon. Turn them on in Settings."
CASE = {"id": "a", "question": "What do bounce keys ignore?", "relevant_ids": ["keys.md"]}
SENTENCE = "this spends money and there is no terminal to ask at; add --yes to agree to it"


@pytest.fixture
def models() -> Iterator[FaultServer]:
    with FaultServer("ok") as server:
        yield server


def test_every_command_that_spends_refuses_without_a_terminal(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: FaultServer
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("ANSWERDECK_KB", "mine")
    evalset = _evalset(tmp_path)
    terminal.works("ingest", str(tmp_path / "docs"), "--kb", "mine")
    turn = json.loads(terminal.works("ask", CASE["question"], "--json"))["turn_id"]
    run = json.loads(terminal.works("eval", "run", evalset, "--json"))["run_id"]
    report = tmp_path / "report.json"
    terminal.works("eval", "report", run, "--format", "json", "--out", str(report))
    monkeypatch.setenv("ANSWERDECK_MODELS__PRIMARY", PAID)
    monkeypatch.setenv("ANSWERDECK_MODELS__OPENAI__BASE_URL", models.openai_url)
    monkeypatch.setenv("ANSWERDECK_GATE__EVALSETS", json.dumps([evalset]))
    paid_report = tmp_path / "paid.json"
    paid_report.write_text(report.read_text().replace("extractive", PAID))
    for arguments in (
        ("eval", "run", evalset),
        ("eval", "run", evalset, "--model", PAID, "--json"),
        ("eval", "run", evalset, "--model", "extractive", "--model", PAID),
        ("eval", "run", evalset, "--model", "extractive", "--judge", PAID),
        ("eval", "run", evalset, "--target", "https://chat.example.com/v1", "--target-model", "m"),
        ("eval", "score", run, "--judge", PAID),
        ("eval", "score", run, "--judge", PAID, "--budget", "100"),
        ("eval", "calibrate", "faithfulness", "walkup", "--judge", PAID),
        ("eval", "reproduce", str(paid_report), "--rerun", "--evalset", evalset),
        ("eval", "synthesise", "--kb", "mine", "--model", PAID),
        ("eval", "changed"),
        ("prompts", "check", "answer@v1", "--run-evals"),
        ("replay",),
        ("replay", "--turn", turn),
        ("replay", "--turn", turn, "--fresh"),
    ):
        _refuses(terminal, *arguments)
    _worsen(tmp_path / "data", run)
    _refuses(terminal, "eval", "bisect", "recall@5", "--good", "good", "--bad", "bad", "--evalset", evalset)
    assert len(models.requests) == 0


def _refuses(terminal: Terminal, *arguments: str) -> None:
    code, out, error = terminal(*arguments)
    assert (code, out, error.strip().splitlines()[-1:]) == (2, "", [f"Error: {SENTENCE}"]), arguments


def _worsen(folder: Path, run_id: str) -> None:
    """Write two runs like one there is: the second lost every case, and a paid model answered it."""
    journal, store = Journal(folder / "journal"), Store(folder)
    with store.read() as ledger:
        run = runs.run(ledger, run_id)
    for name, model, value in (("good", run.model, 1.0), ("bad", PAID, 0.0)):
        journal.write(replace(run, run_id=name, model=model))
        for case in range(12):
            journal.write(Case(name, f"case-{case}", f"What is number {case}?"))
            measured = Measured(value, name="recall@5")
            journal.write(score_of(measured, f"{name}-{case}", name, f"case-{case}"))
    journal.close()


def _evalset(folder: Path) -> str:
    (folder / "docs").mkdir()
    (folder / "docs" / "keys.md").write_text(KEYS)
    path = folder / "tiny.jsonl"
    path.write_text(json.dumps({**CASE, "answerability": "answerable"}))
    path.with_suffix(".toml").write_text('title = "Tiny"\nkb = "mine"\n')
    return str(path)
