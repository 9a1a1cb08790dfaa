import threading
from pathlib import Path

import pytest

from pipeline.prompts.force import AuditError, Force

DEFAULTS = {"answer": "answer@v1", "condense": "condense@v1"}


def promote(force: Force, version: int) -> None:
    force.change(f"answer@v{version}", "0123abcd", action="promote", actor="ada")


def test_the_default_is_in_force_until_something_is_promoted(tmp_path: Path) -> None:
    running, operator = Force(tmp_path / "audit.jsonl", DEFAULTS), Force(tmp_path / "audit.jsonl", DEFAULTS)
    assert running.label("answer") == "answer@v1"
    promote(operator, 2)
    assert running.label("answer") == "answer@v2"
    assert running.label("condense") == "condense@v1"


def test_rollback_walks_back_step_by_step(tmp_path: Path) -> None:
    force = Force(tmp_path / "audit.jsonl", DEFAULTS)
    assert force.previous("answer") is None
    promote(force, 2)
    promote(force, 3)
    for expected in ("answer@v2", "answer@v1"):
        assert force.previous("answer") == expected
        force.change(expected, "x", action="rollback", actor="ada")
        assert force.label("answer") == expected
    assert force.previous("answer") is None
    assert [change.action for change in force.changes()] == ["promote", "promote", "rollback", "rollback"]


def test_an_altered_or_missing_entry_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    force = Force(path, DEFAULTS)
    for version in (2, 3, 4):
        promote(force, version)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0].replace("ada", "eve") + "".join(lines[1:]))
    with pytest.raises(AuditError, match="line 1 was altered"):
        force.changes()
    path.write_text(lines[0] + lines[2])
    with pytest.raises(AuditError, match="line 2"):
        force.changes()


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    force = Force(path, DEFAULTS)
    promote(force, 2)
    with path.open("a") as file:
        file.write('{"at": "2026-')
    assert force.label("answer") == "answer@v2"
    promote(force, 3)
    assert [change.after for change in force.changes()] == ["answer@v2", "answer@v3"]


def test_two_writers_keep_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    threads = [
        threading.Thread(target=lambda: [promote(Force(path, DEFAULTS), 2) for _ in range(10)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Force(path, DEFAULTS).changes()) == 40
