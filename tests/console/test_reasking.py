"""A question without an answer is asked again by itself when documents come, and goes with who asked it."""

from __future__ import annotations

import json
from pathlib import Path

from evalsets import assigned, reasking
from tests.console.console_server import page, shown
from tests.console.terminal import Terminal, terminal

__all__ = ["terminal"]

QUESTION = "What does the ferry ticket to Skye cost?"


def add(folder: Path, name: str, text: str) -> str:
    path = folder / f"{name}.md"
    path.write_text(f"# {name.title()}\n\n{text}\n")
    return str(path)


def test_documents_answer_what_had_no_answer(terminal: Terminal, tmp_path: Path) -> None:
    terminal.works(
        "ingest", add(tmp_path, "parking", "Staff park in the yard behind the hall."), "--kb", "team"
    )
    assert json.loads(terminal.works("ask", QUESTION, "--kb", "team", "--json"))["outcome"] == "no_context"
    code, _, error = terminal(
        "ingest", add(tmp_path, "bus", "The bus leaves at noon."), "--kb", "team", env={"NO_COLOR": "1"}
    )
    assert (code, "asked again: 0 of 1 have an answer now" in error) == (0, True)
    ferry = add(tmp_path, "ferry", "A ferry ticket to Skye costs 12 pounds for a car.")
    assert "asked again: 1 of 1 have an answer now" in terminal("ingest", ferry, "--kb", "team")[2]

    [reasked] = reasking.read(tmp_path / "data").values()
    app = page("topics", topics_part="Unanswered")
    assert not app.exception
    assert ">answered now<" in shown(app) and f"turn={reasked.turn_id}" in shown(app)
    assert "asked again" not in terminal("ingest", ferry, "--kb", "team")[2]  # nothing new, nothing asked

    terminal.works("traces", "erase", "--user", "local", "--yes")
    assert assigned.lines(tmp_path / "data") == []


def test_a_ledger_that_cannot_be_read_does_not_spoil_an_ingestion(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "data" / "journal").mkdir(parents=True)
    (tmp_path / "data" / "traces.duckdb").write_bytes(b"no ledger " * 1000)
    code, out, error = terminal("ingest", add(tmp_path, "bus", "The bus leaves at noon."), "--kb", "team")
    assert (code, "1 added" in out) == (0, True)
    assert "Unanswered questions were not asked again: " in error
