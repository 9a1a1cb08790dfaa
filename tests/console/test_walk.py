"""The product manager's job by command line: import, run, write, run, compare, report, promote, roll back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.commands import eval_run
from console.commands.opened import drained
from evalsets.reports.compare import compare_runs
from pipeline.rehearsal.server import FaultServer
from tests.console.terminal import Terminal, terminal

__all__ = ["terminal"]

QUESTIONS = 6


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    with FaultServer("ok") as server:
        monkeypatch.setenv("OPENAI_API_KEY", "test")
        monkeypatch.setenv("ANSWERDECK_MODELS__OPENAI__BASE_URL", server.openai_url)
        monkeypatch.setenv("ANSWERDECK_MODELS__PRIMARY", "openai:gpt-6-luna")
        yield server


def test_from_a_table_of_questions_to_a_prompt_in_force_and_back(
    terminal: Terminal, models: FaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "questions.csv"
    rows = "\r\n".join(
        f'"What do bounce keys ignore, {n}?";"Repeated; rapid presses."' for n in range(QUESTIONS)
    )
    sheet.write_bytes(f"Frage;Erwartete Antwort\r\n{rows}\r\n".encode("cp1252"))
    done = terminal.works("eval", "import", str(sheet), "--name", "pm")
    assert "question = 'Frage', reference = 'Erwartete Antwort'" in done
    assert "answerdeck eval gate-set pm" in done
    code, _, error = terminal("eval", "run", "pm", "--yes")
    assert code == 2 and "answerdeck ingest PATH --kb default" in error and not models.requests
    (tmp_path / "keys.md").write_text("# Bounce keys\n\nBounce keys ignore key presses that are repeated.\n")
    terminal.works("ingest", str(tmp_path / "keys.md"))
    assert "answerdeck prompts new answer" in terminal.works("eval", "run", "pm", "--yes")
    asked = len(models.requests)
    begun = terminal.works("prompts", "new", "answer")
    path = Path(re.search(r"Edit (\S+),", begun)[1])  # type: ignore[index] # a miss fails the test
    assert path.parent.parent == tmp_path / "data" / "prompts"
    path.write_text(path.read_text().replace("# user", "Answer in one sentence.\n\n# user"))
    both = ("eval", "run", "pm", "--prompt", "answer@v1", "--prompt", "answer@v2", "--yes")
    assert f"answerdeck {' '.join(both[:-1])}" in begun.replace("run demo", "run pm")
    compared = terminal.works(*both)
    assert "Put it in force: answerdeck prompts promote answer@v2" in compared
    assert len(models.requests) == asked + 2 * QUESTIONS  # no answer of the cache: times are compared
    assert (
        "answer@v2 · openai:gpt-6-luna, against answer@v1" in compared and "first_token_seconds" in compared
    )
    ids = re.search(r"answerdeck eval report (\S+) --against (\S+)", compared)
    assert ids is not None
    report = tmp_path / "report.md"
    terminal.works("eval", "report", ids[1], "--against", ids[2], "--format", "md", "--out", str(report))
    assert "answer@v2 against answer@v1" in report.read_text()
    terminal.works("eval", "gate-set", "pm")
    code, shown, error = terminal("prompts", "promote", "answer@v2", "--yes")
    assert code == 1 and "cannot tell" in error and "gate-set" not in shown
    assert "Nothing speaks against answer@v2 but that 6 cases of pm are too few" in shown
    assert "--add" in shown and "--override --reason" in shown and "GATE__BLIND=note" in shown
    sheet.write_text(
        "question,expected answer\nWhat do slow keys do?,They wait.\nWho made it?,Nobody knows.\n"
    )
    code, _, error = terminal("eval", "import", str(sheet), "--name", "pm")
    assert code == 2 and "--add to it, --replace it" in error
    assert "pm has 8 cases now" in terminal.works("eval", "import", str(sheet), "--name", "pm", "--add")
    override = ("--override", "--reason", "six questions are all we have")
    promoted = terminal.works("prompts", "promote", "answer@v2", *override, "--yes")
    assert "answer@v2 is in force" in promoted and "Nothing speaks against" not in promoted
    with drained() as ledger:
        eval_run._onward(compare_runs(ledger, ids[2], ids[1]))
    assert "Put it in force" not in capsys.readouterr().out  # answer@v2 is already
    back = terminal.works("prompts", "rollback", "answer")
    assert "answer@v1 is in force" in back and "promote answer@v2" in back
    history = json.loads(terminal.works("prompts", "history", "--json"))
    assert [change["action"] for change in history] == ["override", "rollback"]
