"""Commands that ask a paid model do their work with --yes; test_consent_everywhere has them without it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from console.commands import judges
from evalsets.judges import process
from evalsets.judges.process import Worker
from evalsets.judges.task import JudgeTask, Opinion
from pipeline.rehearsal.server import FaultServer
from tests.console.terminal import Terminal, terminal
from tests.judge_stub import JudgeStub

__all__ = ["terminal"]

MODEL = "openai:gpt-6-luna"
CASE = {
    "id": "a",
    "question": "What do bounce keys ignore?",
    "answerability": "answerable",
    "reference": "A key that is pressed again too soon.",
}
LABELLED = [
    {
        "question": "What do bounce keys ignore?",
        "contexts": ["Bounce keys ignore repeated presses."],
        "answer": text,
        "label": label,
    }
    for text, label in [("They ignore repeated presses.", 1), ("They paint the fence yellow.", 0)] * 4
]


@pytest.fixture
def models() -> Iterator[FaultServer]:
    with FaultServer("ok") as server:
        yield server


@pytest.fixture
def ready(
    terminal: Terminal, tmp_path: Path, models: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    """A terminal with documents, an evalset `tiny` and a model that costs money."""
    monkeypatch.setenv("ANSWERDECK_KB", "mine")
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    monkeypatch.setenv("ANSWERDECK_MODELS__OPENAI__BASE_URL", models.openai_url)
    (tmp_path / "keys.md").write_text("# Bounce keys\n\nBounce keys ignore key presses that are repeated.\n")
    terminal.works("ingest", str(tmp_path / "keys.md"), "--kb", "mine")
    (tmp_path / "tiny.jsonl").write_text(json.dumps(CASE))
    (tmp_path / "labelled.jsonl").write_text("\n".join(map(json.dumps, LABELLED)))
    (tmp_path / "tiny.toml").write_text('title = "Tiny"\nkb = "mine"\n')
    return terminal


def test_with_consent_a_run_is_made_and_remembered(
    ready: Terminal, models: FaultServer, tmp_path: Path
) -> None:
    command = ("eval", "run", str(tmp_path / "tiny.jsonl"), "--model", MODEL, "--yes")
    assert "groundedness" in ready.works(*command)
    asked = len(models.requests)
    assert asked >= 1
    assert "came from the cache, free" in ready.works(*command)
    assert len(models.requests) == asked
    both = ready.works(*command, "--model", "extractive", "--json")
    assert len(json.loads(both)["runs"]) == 2 and json.loads(both)["comparisons"]
    assert "extractive, against answer@v1" in ready.works(*command, "--model", "extractive")


class Quick(Worker):
    """A judge's process that need not start: it calls every second answer faithful."""

    known: ClassVar[str] = ""  # the scorer it is taken for
    tasks: ClassVar[list[JudgeTask]] = []

    async def _start(self) -> None:
        self.scorer = self.known

    async def opinions(self, tasks: Iterable[JudgeTask]) -> AsyncGenerator[Opinion]:
        for task in tasks:
            self.tasks.append(task)
            yield Opinion(task.place, task.metric, float(task.place % 2 == 0))


def test_a_judge_scores_a_run_once(ready: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = json.loads(ready.works("eval", "run", str(tmp_path / "tiny.jsonl"), "--json"))["run_id"]
    score = ("eval", "score", run, "--judge", MODEL, "--metrics", "faithfulness", "--yes")
    monkeypatch.setattr(process, "START_SECONDS", 600.0)  # of CPU it takes ten
    with JudgeStub() as judge:
        env = {"ANSWERDECK_MODELS__OPENAI__BASE_URL": judge.openai_url}
        scored = json.loads(ready.works(*score, "--json", env=env))
    assert (scored["scored"], scored["already"]) == (1, 0) and judge.calls >= 1, scored
    assert scored["scorer"].startswith("ragas-")
    Quick.known, Quick.tasks = scored["scorer"], []
    monkeypatch.setattr(judges, "Worker", Quick)
    shown = ready.works(*score)
    assert "faithfulness" in shown and f"run {run}" in shown
    assert json.loads(ready.works(*score, "--json"))["already"] == 1 and Quick.tasks == []
    labelled = str(tmp_path / "labelled.jsonl")
    calibrate = ("eval", "calibrate", "faithfulness", labelled, "--judge", MODEL, "--yes")
    found = json.loads(ready.works(*calibrate, "--json"))
    assert (found["n"], found["auc"], found["scorer"]) == (len(LABELLED), 1.0, scored["scorer"])
    assert f"faithfulness by {found['scorer']}" in ready.works(*calibrate)


def test_criteria_of_the_teams_own_are_marked_once_and_shown(ready: Terminal, tmp_path: Path) -> None:
    text = 'title = "Tiny"\nkb = "mine"\n[thresholds]\nrubric_tone = 0.9\n'
    text += '[rubric]\ntone = "Speaks to the reader."\n'
    (tmp_path / "tiny.toml").write_text(
        text + 'source = {text = "Says where it comes from.", passages = true}\n'
    )
    evalset = str(tmp_path / "tiny.jsonl")
    with JudgeStub() as judge:
        judge.answer = lambda prompt, _: {"reason": "no 'you' in it", "mark": 4 if "Speaks" in prompt else 2}
        env = {"ANSWERDECK_MODELS__OPENAI__BASE_URL": judge.openai_url}
        asking = ("--judge", MODEL, "--metrics", "rubric", "--yes")
        run = json.loads(ready.works("eval", "run", evalset, *asking, "--json", env=env))
        assert run["metrics"]["rubric_tone"]["mean"] == 0.75
        assert run["metrics"]["rubric_source"]["mean"] == 0.25
        assert judge.calls == 2 and "Bounce keys ignore key" in judge.prompts[1]
        again = json.loads(ready.works("eval", "score", run["run_id"], *asking, "--json", env=env))
        assert again["already"] == 2 and judge.calls == 2
        calibrate = (
            "eval",
            "calibrate",
            "rubric_tone",
            str(tmp_path / "labelled.jsonl"),
            *asking[:2],
            "--yes",
        )
        worth = json.loads(ready.works(*calibrate, "--set", evalset, "--json", env=env))
        assert worth["scorer"] == again["scorer"].split(", ")[0] and worth["n"] == len(LABELLED)
        report = tmp_path / "report"
    ready.works("eval", "report", run["run_id"], "--format", "html,md,json,csv,junit", "--out", str(report))
    texts = {path.suffix: path.read_text() for path in tmp_path.glob("report*")}
    assert "Rubric: tone: Speaks to the reader." in texts[".md"]
    assert "no &#39;you&#39; in it" in texts[".html"] and "Speaks to the reader." in texts[".html"]
    assert "no 'you' in it" in texts[".csv"] and "rubric_tone" in texts[".xml"]
    assert "Not ready: Rubric: tone" in texts[".md"]


def test_a_model_writes_questions_and_a_reply_that_is_none_is_named(ready: Terminal, tmp_path: Path) -> None:
    command = ("eval", "synthesise", "--kb", "mine", "--model", MODEL, "--name", "written", "--yes")
    code, _, error = ready(*command)
    assert code == 1
    assert "no question could be made" in error and "the reply was no question" in error


def test_the_evidence_of_passages_is_held_against_labels(ready: Terminal, tmp_path: Path) -> None:
    rows = [
        {"question": question, "title": "Bounce keys", "answerable": answerable,
         "sentences": ["Bounce keys skip a key that is pressed again too soon."]}
        for question, answerable in [("What do bounce keys ignore?", 1), ("Who wrote Faust?", 0)] * 4
    ]  # fmt: skip
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    found = json.loads(ready.works("eval", "calibrate", "evidence", str(path), "--json"))
    assert (found["auc"], found["n"]) == (1.0, 8)
