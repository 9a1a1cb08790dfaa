"""Runs that lost their cases end the command, and say why."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from evalsets.runs import load
from pipeline import settings
from tests.console.terminal import Terminal, terminal

__all__ = ["terminal"]


@pytest.fixture
def evalset(terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two cases over a knowledge base of one document."""
    (tmp_path / "keys.md").write_text("# Bounce keys\n\nBounce keys ignore key presses.\n")
    monkeypatch.setenv("ANSWERDECK_KB", "mine")
    terminal.works("ingest", str(tmp_path / "keys.md"), "--kb", "mine")
    path = tmp_path / "tiny.jsonl"
    path.write_text("\n".join(json.dumps({"id": n, "question": "What do bounce keys ignore?"}) for n in "ab"))
    path.with_suffix(".toml").write_text('kb = "mine"\n')
    return str(path)


def test_a_run_that_the_budget_refused_says_so(
    terminal: Terminal, evalset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_BUDGETS__EVAL_DAY_USD", "0.0000001")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv(
        "ANSWERDECK_MODELS__PRICES", '{"openai:m": {"input_per_million": 1, "output_per_million": 1}}'
    )
    code, shown, said = terminal("eval", "run", evalset, "--model", "openai:m", "--yes", "--json")
    assert code == 1
    assert json.loads(shown)["failed"] == 2
    assert "2 of 2 cases of answer@v1 · openai:m failed" in said
    assert "decides nothing" in said and "budget" in said
    assert "prompts new" not in terminal("eval", "run", evalset, "--model", "openai:m", "--yes")[1]


def test_a_run_of_another_process_is_left_alone(terminal: Terminal, evalset: str) -> None:
    with load.alone(Path(os.environ["ANSWERDECK_DATA_DIR"]), "mine"):
        code, _, said = terminal("eval", "run", evalset, "--run", "mine")
    assert code == 1 and "run mine goes on in another process" in said
    assert "load" in terminal.works("eval", "run", evalset, "--run", "mine")


def test_two_variants_are_measured_together(terminal: Terminal, evalset: str) -> None:
    shown = terminal.works("eval", "run", evalset, "--model", "extractive", "--prompt", "answer@v1", "--json")
    assert json.loads(shown)["session"] is None
    shown = terminal.works("eval", "run", evalset, "--repetitions", "1")
    assert "cores" in shown


@pytest.mark.parametrize("command", [("compare", "zz1", "zz2"), ("report", "zz1")])
def test_unknown_runs_are_one_sentence(terminal: Terminal, evalset: str, command: tuple[str, ...]) -> None:
    code, _, said = terminal("eval", *command)
    assert code in (1, 2) and said.count("\n") <= 2 and "zz1" in said


def test_the_team_chooses_what_decides(
    terminal: Terminal, evalset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "must pass demo" in terminal.works("eval", "gate-set")
    assert evalset in terminal.works("eval", "gate-set", evalset)
    assert json.loads(terminal.works("eval", "gate-set", "--json")) == [evalset]
    assert settings.load_settings().gate.evalsets == [evalset]
    assert terminal("eval", "gate-set", "nosuch")[0] in (1, 2)
    assert settings.load_settings().gate.evalsets == [evalset]
    assert "must pass demo" in terminal.works("eval", "gate-set", "--clear")
    monkeypatch.setenv("ANSWERDECK_GATE__EVALSETS", '["demo"]')
    code, _, said = terminal("eval", "gate-set", evalset)
    assert code == 1 and "ANSWERDECK_GATE__EVALSETS" in said
    assert terminal("eval", "gate-set", "demo", "--clear")[0] == 2


def test_a_damaged_choice_is_said(terminal: Terminal, evalset: str) -> None:
    for text in ("no json", '{"evalsets": 3}'):
        (Path(os.environ["ANSWERDECK_DATA_DIR"]) / "gate.json").write_text(text)
        code, _, said = terminal("eval", "list")
        assert code == 2 and "gate.json" in said and "Traceback" not in said
