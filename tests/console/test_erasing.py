"""Erasing a person: nothing of their words is left in any file, and the certificate proves it."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from console.cli import app
from evalsets.cases import team
from evalsets.cases.from_turn import draft
from evalsets.judges.cache import JudgeCache, KeptReply
from pipeline.context.memory import Memory
from pipeline.events import Answer
from pipeline.guardrails.spending import Spending
from pipeline.settings import load_settings
from tests.factories import make_score, make_trace
from traces.journal import Journal
from traces.records import Case, Payload, Trace
from traces.store import Store

MARKER = "xylophone-3141"
QUESTION = f"Where is my {MARKER} of the year?"


def asked(user: str, **columns: object) -> Trace:
    question = str(columns.pop("question", QUESTION))
    one = make_trace(user_id=user, question=question, answer=f"About {question} [1]", **columns)
    return replace(one, payload=Payload(one.turn.turn_id, f"prompt {question}", f"raw {question}"))


def holding(folder: Path, text: str) -> list[str]:
    """Return the files that hold a text, unpacked; certificates may name ids, but no words."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            if text.encode() in content:
                found.append(path.relative_to(folder).as_posix())
    return found


@pytest.fixture
def lived(tmp_path: Path) -> Path:
    """Eve asked twice; a case, a replay and evals were made of it; Bob asked too."""
    folder = load_settings().data_dir
    store = Store(folder)
    first, second, other = asked("eve"), asked("eve"), asked("bob", question="How do I print?")
    journal = Journal(store.journal)
    for record in (first, other, make_score(first.turn.turn_id, user_id="eve", reason=f"bad {MARKER}")):
        journal.write(record)
    journal.close()
    store.drain()
    case = draft(first, [])
    team.add("pm", {**case, "reference": MARKER}, folder=folder / "evalsets")
    team.add("pm", {"id": "other", "question": "How do I scan?"}, folder=folder / "evalsets")
    journal = Journal(store.journal)
    journal.write(second)
    for run_id, case_id, door in (("r1", second.turn.turn_id, "replay"), ("r2", case["id"], "eval")):
        journal.write(Case(run_id, case_id, QUESTION, tags=case["tags"] if door == "eval" else None))
        again = asked(door, door=door, run_id=run_id, case_id=case_id)
        journal.write(again)
        score = make_score(again.turn.turn_id, "groundedness", source="eval", reason=MARKER)
        journal.write(replace(score, run_id=run_id, case_id=case_id))
    journal.close()
    for name in ("eval-cache", "judge-cache"):
        cache = JudgeCache(folder / name)
        cache.put("k", KeptReply(json.dumps({"text": MARKER}), "m", 1, 1))
        cache.close()
    return folder


def erase(*more: str) -> Result:
    return CliRunner().invoke(app, ["traces", "erase", "--json", *more])


def test_nothing_is_left_and_the_certificate_can_be_checked_again(lived: Path) -> None:
    memory = Memory(lived / "conversations.sqlite")  # a server that goes on has it open
    spending = Spending(lived / "spending.sqlite")
    for user in ("eve", "bob"):
        said = MARKER if user == "eve" else "x"
        answer = Answer(f"t-{user}", "c", "answered", said, (), (), {}, None, None, None, None, None, None)
        memory.remember(user, None, QUESTION if user == "eve" else "q", answer)
        spending.settle(f"t-{user}", user, f"{datetime.now(UTC):%Y-%m-%d}", 0.1, 0)
    assert len(holding(lived, MARKER)) >= 6
    done = erase("--user", "eve", "--yes")
    made = json.loads(done.output)
    assert [(line["place"], line["left"], line["trouble"]) for line in made["lines"] if line["left"]] == []
    assert done.exit_code == 0, done.output
    assert made["complete"] is True
    assert len(made["turn_ids"]) == 4
    assert holding(lived, MARKER) == []
    assert [case.case_id for case in team.load_evalset("pm", own=lived / "evalsets").cases] == ["other"]
    with Store(lived).read() as ledger:
        assert [row["user_id"] for row in ledger.rows("select user_id from turns")] == ["bob"]
    assert len(memory.history.conversations("bob")) == 1
    assert spending.totals(f"{datetime.now(UTC):%Y-%m-%d}").usd == pytest.approx(0.2)
    file = made["certificate"]
    assert "<h1>Erasure certificate" in Path(file).with_suffix(".html").read_text()
    assert erase("--verify", file).exit_code == 0
    memory.close()
    spending.close()


def test_a_question_that_others_asked_in_the_same_words_is_not_left(lived: Path) -> None:
    store = Store(load_settings().data_dir)
    journal = Journal(store.journal)
    for user in ("eve", "bob"):
        journal.write(asked(user, question="How do I print the yearly report?"))
    journal.close()
    done = CliRunner().invoke(app, ["traces", "erase", "--user", "eve", "--yes"])
    assert done.exit_code == 0, done.output
    assert holding(store.data_dir, MARKER) == []


def test_what_comes_back_or_cannot_be_reached_is_named(lived: Path) -> None:
    (lived / "notes").mkdir()
    (lived / "notes" / "export.csv").write_text(f"id,question\n1,{QUESTION}\n")
    (lived / "traces.duckdb.bad-20260101").write_text("old")
    done = erase("--user", "eve", "--yes")
    left = [name for line in json.loads(done.output)["lines"] for name in line["left"]]
    assert done.exit_code == 1
    assert left == [
        "traces.duckdb.bad-20260101 was put aside and may hold some: delete it by hand",
        "notes/export.csv: 1 lines",
    ]
    (lived / "traces.duckdb.bad-20260101").unlink()
    file = Path(json.loads(done.output)["certificate"])
    made = json.loads(file.read_text())
    assert erase("--verify", str(file)).exit_code == 0  # a certificate holds no words to look for
    journal = Journal(lived / "journal")
    journal.write(asked("eve", turn_id=made["turn_ids"][0]))
    journal.close()
    again = erase("--verify", str(file))
    assert again.exit_code == 1
    assert "1 rows of turns" in again.output


def test_an_altered_certificate_is_refused(lived: Path) -> None:
    file = Path(json.loads(erase("--user", "eve", "--yes").output)["certificate"])
    file.write_text(file.read_text().replace('"user_id": "eve"', '"user_id": "bob"'))
    refused = CliRunner().invoke(app, ["traces", "erase", "--verify", str(file)])
    assert "altered" in str(refused.exception)
    assert erase("--user", "a", "--verify", str(file)).exit_code == 2
