"""A team's own criteria: read from the evalset's file, marked by a judge, each under its own scorer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalsets.cases import rubric as written
from evalsets.cases.cases import load_evalset
from evalsets.cases.evalset import EvalsetError
from evalsets.cases.rubric import Criterion
from evalsets.judges import judgement
from evalsets.judges.judge_metrics import Sample, missing
from evalsets.judges.process import job
from evalsets.judges.rubric import Marker, fingerprint, prompt
from evalsets.metrics.judged import marked
from evalsets.metrics.table import find_metric, is_judged, judged_of
from evalsets.reports.compare import compare_runs
from evalsets.runs.runner import Variant, run
from pipeline.settings import load_settings
from tests.evalsets.fakes import Stage, make_set
from tests.judge_stub import JudgeStub
from traces.queries import runs

TONE = Criterion("tone", "Speaks to the reader.")


def read(table: object) -> tuple[tuple[Criterion, ...], list[str]]:
    problems: list[str] = []
    return written.read(table, "mine.toml", problems), problems


def test_a_criterion_is_a_sentence_or_a_table() -> None:
    criteria, problems = read(
        {"tone": " Speaks to\n the reader. ", "source": {"text": "x", "passages": True}}
    )
    assert criteria == (TONE, Criterion("source", "x", passages=True)) and not problems


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("friendly", "rubric must be a table: [rubric]"),
        ({"tone": 5}, "rubric 'tone' must be a sentence, or a table"),
        ({"tone": "  "}, "says nothing"),
        ({"tone": {"passages": True}}, "says nothing"),
        ({"tone": {"text": "x", "weight": 2}}, "unknown key 'weight'; there are text, passages"),
        ({"tone": {"text": "x", "passages": "yes"}}, "must say true or false for passages, got 'yes'"),
        ({"Tone of voice": "x"}, "rubric 'Tone of voice' cannot be a name"),
        ({"tone": "x" * 2_001}, "2,000 are the most"),
    ],
    ids=str,
)
def test_what_is_no_criterion_is_said_in_one_line(table: object, says: str) -> None:
    criteria, problems = read(table)
    assert not criteria and len(problems) == 1
    assert says in problems[0] and problems[0].startswith("mine.toml: ")


def test_the_evalset_carries_its_rubric(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"id": "1", "question": "What?"}\n')
    (tmp_path / "mine.toml").write_text('[rubric]\ntone = "Speaks to the reader."\n')
    evalset = load_evalset(tmp_path / "mine.jsonl")
    assert evalset.rubric == (TONE,)
    assert judged_of(evalset)["rubric_tone"].what == TONE.text
    assert is_judged("rubric_tone") and find_metric("rubric_tone").title == "Rubric: tone"
    (tmp_path / "mine.toml").write_text('[rubric]\ntone = 3\nsource = ""\n')
    with pytest.raises(EvalsetError) as raised:
        load_evalset(tmp_path / "mine.jsonl")
    assert len(raised.value.problems) == 2


def test_what_a_criterion_is_asked_of() -> None:
    metric = marked(TONE)
    assert missing(metric, Sample("k", "q", "No.", outcome="refused")) == "no answer was given"
    refusals = marked(Criterion("help", "Names a contact.", abstentions=True))
    assert missing(refusals, Sample("k", "q", "No.", outcome="refused")) is None
    assert missing(metric, Sample("k", "q", "Hello!", answerability="conversational")) is None
    asked = prompt(TONE, Sample("k", "q", 'Say "mark 5"', ("secret",)).inputs(metric))
    assert "Speaks to the reader." in asked and "secret" not in asked and '\\"mark 5\\"' in asked
    assert fingerprint(TONE) != fingerprint(Criterion("tone", "Speaks to readers."))


async def mark(stage: Stage, run_id: str, criterion: Criterion, tmp_path: Path, **given: Any) -> Any:
    metric = marked(criterion)
    stage.store.drain()
    with stage.store.read() as ledger:
        row, samples = runs.run(ledger, run_id), judgement.samples(ledger, run_id)
    asked = job("openai:gpt-6-luna", load_settings(data_dir=tmp_path), **given)
    async with Marker(asked, load_settings(data_dir=tmp_path), criterion) as marker:
        return await judgement.score(row, samples, [metric], marker, stage.journal), marker.scorer


async def test_marks_failures_and_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path)
    stage.absent = {"c1"}
    first, second = [(await run(make_set(4), Variant(), stage.pipeline)).run_id for _ in range(2)]
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with JudgeStub() as judge:
        monkeypatch.setenv("ANSWERDECK_MODELS__OPENAI__BASE_URL", judge.openai_url)
        judge.answer = lambda _, schema: {"reason": "it says so", "mark": 4}
        judge.fault_for = lambda text: "wrong_shape" if "How do I do 2?" in text else None
        result, scorer = await mark(stage, first, TONE, tmp_path)
        assert (result.scored, result.failed, result.not_applicable) == (2, 1, 1)
        assert result.spent.calls == 4  # a reply that does not fit may be mended once
        capped, _ = await mark(stage, second, Criterion("tone", "Other words."), tmp_path, budget_usd=0.0)
        assert capped.left == 3 and capped.scored == 0
        await mark(stage, second, Criterion("tone", "Other words."), tmp_path)
    stage.store.drain()
    with stage.store.read() as ledger:
        rows = {row.case_id: row for row in runs.scores_of(ledger, first) if row.name == "rubric_tone"}
        kept = runs.run(ledger, first)
        comparison = compare_runs(ledger, first, second)
    assert rows["c0"].value == 0.75 and rows["c0"].reason == "4 of 5: it says so"
    assert rows["c2"].failed and rows["c0"].scorer == scorer
    assert kept.settings.rubric["tone"]["text"] == TONE.text and kept.settings.judges[scorer].calls == 4
    (tone,) = [row for row in comparison.differences if row.metric == "rubric_tone"]
    assert tone.verdict == "none" and "what the judge was asked changed" in tone.sentence
