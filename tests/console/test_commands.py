"""Every command does what it says, run through the command line in one process."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.prompts.library import SHIPPED
from tests.console.terminal import Terminal, terminal

__all__ = ["terminal"]

KEYS = "# Bounce keys\n\nBounce keys skip a key that is pressed again too soon. Turn them on in Settings."
LID = "# Closing the lid\n\nThe computer suspends when you close the lid, and wakes when you open it.\n"
CASES = [
    {"id": "a", "question": "What do bounce keys ignore?", "relevant_ids": ["keys.md"]},
    {"id": "b", "question": "What happens when you close the lid?", "relevant_ids": ["lid.md"]},
]


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "keys.md").write_text(KEYS)
    (folder / "lid.md").write_text(LID)
    return folder


@pytest.fixture
def evalset(tmp_path: Path) -> str:
    path = tmp_path / "tiny.jsonl"
    path.write_text("\n".join(json.dumps({**case, "answerability": "answerable"}) for case in CASES))
    path.with_suffix(".toml").write_text('title = "Tiny"\nkb = "mine"\n')
    return str(path)


@pytest.fixture
def ready(terminal: Terminal, documents: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal with a knowledge base `mine` that answers."""
    monkeypatch.setenv("ANSWERDECK_KB", "mine")
    terminal.works("ingest", str(documents), "--kb", "mine")
    return terminal


def read(terminal: Terminal, *arguments: str) -> Any:
    return json.loads(terminal.works(*arguments, "--json"))


def test_the_life_of_a_knowledge_base(ready: Terminal, documents: Path) -> None:
    assert "mine" in ready.works("kb", "list")
    assert read(ready, "kb", "status", "mine")["documents"] == 2
    assert "documents" in ready.works("kb", "status", "mine")
    (first,) = read(ready, "kb", "history", "mine")
    (row, *_) = read(ready, "kb", "search", "What do bounce keys ignore?", "--kb", "mine")
    document = row["document_id"]
    assert "Bounce" in ready.works("kb", "search", "What do bounce keys ignore?", "--kb", "mine")
    (documents / "lid.md").write_text(LID.replace("suspends", "sleeps"))
    assert "1 updated" in ready.works("ingest", str(documents), "--kb", "mine")
    newest = read(ready, "kb", "history", "mine")
    label = "version" if "version" in first else next(iter(first))
    versions = {release[label] for release in newest}
    (second,) = versions - {first[label]}
    assert "~ " in ready.works("kb", "diff", first[label], second, "--kb", "mine")
    assert read(ready, "kb", "diff", first[label], second, "--kb", "mine")["changed"]
    assert first[label] in ready.works("kb", "rollback", first[label], "--kb", "mine")
    assert "1 removed" in ready.works("kb", "remove", "mine", "--document", document)
    ready.works("kb", "restore", second, document, "--kb", "mine")
    assert ready.works("kb", "history", "mine")
    jobs = read(ready, "kb", "jobs")
    assert len(jobs) == 2 and ready.works("kb", "jobs")
    assert "is deleted" in ready.works("kb", "remove", "mine", "--yes")
    assert ready("kb", "status", "mine")[0] == 2


def test_turns_are_asked_looked_at_exported_and_erased(ready: Terminal, tmp_path: Path) -> None:
    shown = ready.works("ask", "What do bounce keys ignore?")
    assert "again too soon" in shown and "[1]" in shown
    turn = read(ready, "ask", "What happens when you close the lid?", "--user", "eve")
    whole = ready.works("traces", "show", turn["turn_id"])
    assert "Passages" in whole and "words alone: models.cross_encoder is off" in " ".join(whole.split())
    chunk = turn["passages"][0]["chunk_id"]
    assert "It was cited" in ready.works("traces", "show", turn["turn_id"], "--blame", chunk)
    assert read(ready, "traces", "show", turn["turn_id"], "--blame", chunk)["cited"] is not None
    assert len(read(ready, "traces", "tail")) == 2
    assert "lid" in ready.works("traces", "tail")
    (found,) = read(ready, "traces", "search", "lid")
    assert found["turn_id"] == turn["turn_id"]
    assert "No turn was found" in ready.works("traces", "search", "zebra")
    assert "records moved" in ready.works("traces", "drain")
    assert read(ready, "traces", "drain")["lines"] == 0
    assert "2 turns" in ready.works("traces", "export", "--out", str(tmp_path / "out" / "turns.jsonl"))
    ready.works("traces", "export", "--out", str(tmp_path / "parquet"), "--format", "parquet")
    assert list((tmp_path / "parquet").glob("*.parquet"))
    assert "Forgot 0 turns" in ready.works("traces", "prune", "--days", "1", "--turn-days", "9", "--yes")
    erased = read(ready, "traces", "erase", "--user", "eve", "--yes")
    assert erased["complete"]
    assert "nothing" in ready.works("traces", "erase", "--verify", erased["certificate"])
    assert read(ready, "traces", "erase", "--verify", erased["certificate"])
    _, _, error = ready("traces", "erase", "--verify", "nope.json")
    assert "there is no file nope.json" in error
    assert len(read(ready, "traces", "tail")) == 1


def test_runs_are_made_compared_and_reported(ready: Terminal, evalset: str, tmp_path: Path) -> None:
    first = read(ready, "eval", "run", evalset)
    assert first["cases"] == 2 and first["failed"] == 0
    assert "recall@5" in ready.works("eval", "run", evalset, "--repetitions", "2")
    only = read(ready, "eval", "run", evalset, "--only", "retrieval", "--limit", "1")
    assert only["variant"] == "retrieval only"
    assert {run["evalset"] for run in read(ready, "eval", "list")["runs"]} == {"tiny"}
    assert "Latest runs" in ready.works("eval", "list")
    (free,) = read(ready, "eval", "run", evalset, "--estimate")["estimates"]
    assert free["usd"] == 0.0 and free["variant"] == "answer@v1 · extractive"
    assert "0 calls" in ready.works("eval", "run", evalset, "--estimate")
    judge = ("--judge", "anthropic:claude-haiku-5-5", "--metrics", "faithfulness", "--repetitions", "3")
    _, judging = read(ready, "eval", "run", evalset, "--estimate", *judge)["estimates"]
    assert judging["variant"] == "judged by anthropic:claude-haiku-5-5"
    assert judging["calls"] >= 2 * 3 and 0 < judging["usd"] < judging["most_usd"]
    beside = ("--retrieval", "configured", "--retrieval", "passages=1")
    runs = read(ready, "eval", "run", evalset, *beside)["runs"]
    assert runs[1]["variant"] == f"{runs[0]['variant']} · passages=1"
    assert runs[0]["session"] == runs[1]["session"] is not None
    tried = read(ready, "eval", "run", evalset, "--retrieval", "passages=1,floor=0.2")
    assert tried["cases"] == 2
    assert "got 'eight'" in ready("eval", "run", evalset, "--retrieval", "passages=eight")[2]
    assert "no KEY=VALUE" in ready("eval", "run", evalset, "--retrieval", "eight")[2]
    second = read(ready, "eval", "run", evalset)["run_id"]
    assert "wins/losses/ties" in ready.works("eval", "compare", first["run_id"], second)
    assert read(ready, "eval", "compare", first["run_id"], second)["metrics"]
    out = tmp_path / "report.html"
    formats = "html,md,json,csv,junit"
    printed = ready.works("eval", "report", second, "--format", formats, "--out", str(out))
    assert [Path(line).suffix for line in printed.split()] == [".html", ".md", ".json", ".csv", ".xml"]
    assert all(Path(line).stat().st_size for line in printed.split())
    against = tmp_path / "comparison.md"
    ready.works(
        "eval", "report", second, "--against", first["run_id"], "--format", "md", "--out", str(against)
    )
    assert "Tiny" in against.read_text()
    report = str(out.with_suffix(".json"))
    assert read(ready, "eval", "reproduce", report)["same"]
    assert read(ready, "eval", "reproduce", report, "--rerun", "--evalset", evalset)["same"]
    summary, junit = tmp_path / "gate.md", tmp_path / "gate.xml"
    code, shown, _ = ready(
        "eval", "gate", "--baseline", first["run_id"], "--run", second,
        "--summary", str(summary), "--junit", str(junit),
    )  # fmt: skip
    assert code in (0, 1) and "tiny: " in shown
    assert summary.exists() and junit.exists()
    code, shown, _ = ready("eval", "gate", "--baseline", report, "--run", first["run_id"])
    assert code in (0, 1) and "was made over the same documents" in shown
    tried = ("--good", first["run_id"], "--bad", second, "--evalset", evalset)
    code, _, error = ready("eval", "bisect", "recall@5", *tried)
    assert code == 2 and "there is no drop to explain" in error


def test_the_teams_own_evalset(ready: Terminal, tmp_path: Path) -> None:
    turn = read(ready, "ask", "What do bounce keys ignore?")["turn_id"]
    added = read(ready, "eval", "add", turn, "--set", "mine", "--reference", "Repeated presses.", "--guard")
    case = added["case"]["id"]
    assert "What do bounce keys ignore?" in ready.works("eval", "cases", "mine")
    assert read(ready, "eval", "cases", "mine")["cases"][0]["reference"] == "Repeated presses."
    ready.works("eval", "edit", "mine", case, "--set", "reference=Rapid presses.", "--set", "tags=a;b")
    assert read(ready, "eval", "cases", "mine")["cases"][0]["tags"] == ["a", "b"]
    out = tmp_path / "mine.csv"
    ready.works("eval", "export", "mine", "--out", str(out))
    assert ready("eval", "export", "mine", "--out", str(out))[0] == 2
    assert [row["reference"] for row in csv.DictReader(out.read_text().splitlines())] == ["Rapid presses."]
    assert "1 cases" in ready.works("eval", "import", str(out), "--name", "again")
    assert read(ready, "eval", "import", str(out), "--name", "again", "--replace")["evalset"] == "again"
    assert "is out" in ready.works("eval", "remove", case, "--set", "mine")
    assert "is deleted" in ready.works("eval", "delete", "again", "--yes")
    made = read(ready, "eval", "synthesise", "--kb", "mine", "--count", "2", "--name", "made")
    assert made["cases"] >= 1
    assert "synthetic cases" in ready.works(
        "eval", "synthesise", "--kb", "mine", "--name", "made", "--replace"
    )


def test_prompts_are_begun_promoted_and_taken_back(
    ready: Terminal, evalset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "prompts"
    for name in ("answer", "condense"):
        (folder / name).mkdir(parents=True)
        (folder / name / "v1.md").write_text((SHIPPED / name / "v1.md").read_text())
    monkeypatch.setenv("ANSWERDECK_PROMPTS__FOLDER", str(folder))
    monkeypatch.setenv("ANSWERDECK_GATE__EVALSETS", json.dumps([evalset]))
    monkeypatch.setenv("ANSWERDECK_GATE__BLIND", "note")
    assert "answer@v2" in ready.works("prompts", "new", "answer")
    path = folder / "answer" / "v2.md"
    path.write_text(path.read_text().replace("short plain", "very short"))
    assert {row["prompt"] for row in read(ready, "prompts", "list")} >= {"answer@v1", "answer@v2"}
    assert "candidate" in ready.works("prompts", "list")
    assert ready.works("prompts", "show", "answer@v2") == read(ready, "prompts", "show", "answer@v2")["text"]
    assert "+" in ready.works("prompts", "diff", "answer@v1", "answer@v2")
    assert ready("prompts", "check", "answer@v2")[0] == 1
    checked = ready("prompts", "check", "answer@v2", "--run-evals", "--json")
    assert json.loads(checked[1])["prompt"] == "answer@v2"
    assert ready("prompts", "promote", "answer@v2", "--override", "--yes")[0] == 2
    promoted = read(ready, "prompts", "promote", "answer@v2", "--override", "--reason", "a test", "--yes")
    assert promoted["after"] == "answer@v2"
    assert "in force already" in ready.works("prompts", "promote", "answer@v2", "--yes")
    assert "a test" in ready.works("prompts", "history") or promoted["action"] == "promote"
    assert "answer@v1 is in force" in ready.works("prompts", "rollback", "answer")
    ready.works("prompts", "canary", "answer@v2", "--share", "10")
    assert "all conversations again" in ready.works("prompts", "canary", "answer@v2", "--share", "0")
    assert len(read(ready, "prompts", "history")) == 4
    assert read(ready, "eval", "changed") == []


def test_turns_are_replayed(ready: Terminal) -> None:
    turn = read(ready, "ask", "What do bounce keys ignore?")["turn_id"]
    assert "1 the same" in ready.works("replay")
    assert read(ready, "replay", "--since", "1d", "--limit", "1")["turns"] == 1
    again = read(ready, "replay", "--turn", turn)
    assert again["before"]["turn_id"] == turn or again["before"]["answer"]
    assert "As recorded" in ready.works("replay", "--turn", turn, "--fresh")


def test_costs_alerts_and_doctor(ready: Terminal) -> None:
    ready.works("ask", "What do bounce keys ignore?")
    assert "extractive" in ready.works("costs", "show") or "last 30 days" in ready.works("costs", "show")
    assert "budget" in read(ready, "costs", "show")
    assumed = "turns=3,input=2000,output=200,cached_share=0.5"
    shown = ready.works("costs", "forecast", "--assume", assumed, "--model", "openai:gpt-6-luna")
    assert "conversations a month" in shown
    assert read(ready, "costs", "forecast", "--assume", assumed, "--model", "openai:gpt-6-luna")["forecast"]
    assert ready("alerts", "check", "--all")[0] in (0, 1)
    assert ready("alerts", "check", "--json")[0] in (0, 1)
    assert "error_rate" in ready.works("alerts", "rules")
    ready.works("alerts", "rules", "error_rate", "--limit", "0.2", "--reason", "a test")
    assert "a test" in ready.works("alerts", "rules", "error_rate")
    assert "is muted until" in ready.works("alerts", "mute", "error_rate")
    assert "is heard again" in ready.works("alerts", "mute", "error_rate", "--hours", "0")
    assert ready.works("alerts", "history")
    assert read(ready, "alerts", "history", "error_rate")
    assert ready("alerts", "test")[0] == 1
    findings = {row["what"]: row for row in read(ready, "doctor")}
    assert findings["knowledge base mine"]["ok"] is True
    assert "knowledge base mine" in ready.works("doctor")


def test_classifiers_and_scorers_are_measured(terminal: Terminal) -> None:
    routed = json.loads(terminal.works("eval", "routing", "--json"))
    assert routed["parts"][-1]["part"] == "all"
    agreement = json.loads(terminal.works("eval", "calibrate", "groundedness", "handbook", "--json"))
    assert agreement["scorer"] == "answerdeck@1" and agreement["n"] > 100
    assert "groundedness by answerdeck@1" in terminal.works("eval", "calibrate", "groundedness", "handbook")
