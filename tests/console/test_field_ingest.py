"""The field's folders about identity, names and odd files, ingested by the command as their owners do."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

import pytest

from tests.console.terminal import Terminal, terminal

__all__ = ["terminal"]

FIELD = Path(__file__).parents[2].parent / "shared" / "data" / "field"
pytestmark = pytest.mark.skipif(
    not FIELD.is_dir(), reason="the field inputs are not beside the checkout (../shared)"
)


def made(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let a field case write its folder."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["make.py", str(folder)])
        runpy.run_path(str(FIELD / name / "make.py"), run_name="__main__")
    return str(folder)


def answer(terminal: Terminal, question: str, kb: str = "f") -> tuple[str, str]:
    found = json.loads(terminal.works("ask", question, "--json", env={"ANSWERDECK_KB": kb}))
    return found["outcome"], found["answer"]


def test_two_files_of_one_name_are_two_documents(terminal: Terminal) -> None:
    folder = FIELD / "identity-names"
    terminal.works("ingest", str(folder / "east"), "--kb", "f")
    terminal.works("ingest", str(folder / "west"), "--kb", "f")
    assert "15:20" in answer(terminal, "When does the east post room close?")[1]
    terminal.works("ingest", str(folder / "old"), "--kb", "g")
    told = terminal.works("ingest", str(folder / "new"), "--kb", "g")
    said = answer(terminal, "What colour are jackets?", "g")[1]
    assert "jackets-2026.md" in told or ("red" in said and "green" not in said)


def test_rows_that_left_a_file_stop_answering(terminal: Terminal) -> None:
    folder = FIELD / "identity-rows"
    terminal.works("ingest", str(folder / "before" / "lifts.csv"), "--kb", "f")
    told = terminal.works("ingest", str(folder / "after" / "lifts.csv"), "--kb", "f")
    last = answer(terminal, "When is the last ride of the West lift?")[1]
    assert "17:35" in last and "17:00" not in last
    outcome, said = answer(terminal, "When is the first ride of the North lift?")
    assert "1 removed" in told
    assert (outcome, "8:30" in said, "9:00" in said) == ("no_context", False, False)


def test_ids_are_taken_as_given_and_rows_left_out_are_named(terminal: Terminal) -> None:
    folder = FIELD / "jsonl-ids"
    told = terminal.works("ingest", str(folder / "zero.jsonl"), str(folder / "twins.jsonl"), "--kb", "f")
    assert "twins.jsonl:3" in told and "twins.jsonl:4" in told
    rows = json.loads(
        terminal.works("kb", "search", "How many pallets does bay 0 hold?", "--kb", "f", "--json")
    )
    assert rows[0]["document_id"] == "0"


def test_links_inside_the_folder_are_followed_once(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made("links", tmp_path / "mounted", monkeypatch)
    found = json.loads(terminal.works("ingest", folder, "--kb", "f", "--json"))
    assert (found["added"], found["chunks"]) == (2, 2)


def test_names_that_are_no_text_are_printed_and_named(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made("names-bad-bytes", tmp_path / "bytes", monkeypatch)
    printed = terminal.works("ingest", folder, "--kb", "f")
    assert printed.encode()
    assert ".xyz" in printed
    found = json.loads(terminal.works("ingest", folder, "--kb", "g", "--json").encode())
    assert (found["added"], len(found["skipped"])) == (1, 1)
    assert "six" in answer(terminal, "When are coins counted?")[1]


def test_names_that_look_like_markup_are_names(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made("names-markup", tmp_path / "markup", monkeypatch)
    assert "2 added" in terminal.works("ingest", folder, "--kb", "f")
    listed = terminal.works("kb", "search", "When are lists printed?", "--kb", "f")
    assert "list[/all].md" in listed


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_skipped_at_once(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made("not-files", tmp_path / "pipes", monkeypatch)
    printed = terminal.works("ingest", folder, "--kb", "f")
    assert "1 added" in printed
    assert "queue.txt: not a regular file" in printed
