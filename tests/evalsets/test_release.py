"""Promotion rests on runs of exactly what would answer, and can be undone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalsets.cases import corpora
from evalsets.cases.cases import load_evalset
from evalsets.release import release
from evalsets.release.gate import GateLimits
from evalsets.release.release import NothingBefore, NotPromoted
from evalsets.release.verdict import Evidence
from evalsets.runs import runner
from evalsets.runs.runner import Variant
from pipeline.prompts.force import Overtaken
from pipeline.prompts.library import SHIPPED
from pipeline.turn import Pipeline
from tests.pipeline.turns import make_pipeline
from traces.records import RunSettings

SMALL = GateLimits(blind="note")  # three cases cannot show a loss
CASES = [
    {"id": "a", "question": "How do I turn on bounce keys?", "relevant_ids": ["bounce-keys"]},
    {"id": "b", "question": "What happens when I close the lid?", "relevant_ids": ["lid"]},
    {"id": "c", "question": "How do I connect to a hidden network?", "relevant_ids": ["wifi"]},
]


@pytest.fixture
def evalset(tmp_path: Path) -> str:
    path = tmp_path / "tiny.jsonl"
    path.write_text("\n".join(json.dumps({**case, "answerability": "answerable"}) for case in CASES))
    path.with_suffix(".toml").write_text('title = "Tiny"\n[thresholds]\n"hit@5" = 1.0\n')
    return str(path)


async def opened(tmp_path: Path) -> Pipeline:
    """A pipeline with answer v1 in force and a candidate v2, in a prompts folder of its own."""
    folder = tmp_path / "prompts"
    for name in ("answer", "condense"):
        (folder / name).mkdir(parents=True)
        (folder / name / "v1.md").write_text((SHIPPED / name / "v1.md").read_text())
    text = (SHIPPED / "answer" / "v1.md").read_text().replace("short plain", "very short")
    (folder / "answer" / "v2.md").write_text(text)
    return await make_pipeline(prompts={"folder": str(folder)})


def reasons(found: list[Evidence]) -> list[str]:
    return [reason for one in found for reason in one.reasons]


async def test_from_refusal_over_runs_to_promotion_and_back(tmp_path: Path, evalset: str) -> None:
    pipeline = await opened(tmp_path)
    found = await release.evidence(pipeline, "answer@v2", [evalset], SMALL)
    assert reasons(found) == [
        "needs evalset tiny: answer@v2 was not run on this fingerprint",
        "needs evalset tiny: answer@v1 was not run on this fingerprint",
    ]
    with pytest.raises(NotPromoted, match="answer@v2 was not run"):
        release.promote(pipeline, "answer@v2", found, actor="ada")
    assert pipeline.force.label("answer") == "answer@v1"

    made = await release.run_missing(pipeline, "answer@v2", [evalset], lambda _: lambda *_: None)
    assert len(made) == 2
    assert await release.run_missing(pipeline, "answer@v2", [evalset], lambda _: lambda *_: None) == []
    found = await release.evidence(pipeline, "answer@v2", [evalset], SMALL)
    assert reasons(found) == []
    change = release.promote(pipeline, "answer@v2", found, actor="ada")
    assert (change.action, change.before, change.after) == ("promote", "answer@v1", "answer@v2")
    assert change.gate is not None
    assert {change.gate["evalsets"][0][key] for key in ("run", "baseline")} == set(made)
    assert pipeline.force.label("answer") == "answer@v2"
    assert pipeline.prompts.released()["answer@v2"] == change.fingerprint

    with pytest.raises(Overtaken, match="answer@v2 came into force meanwhile"):
        release.promote(pipeline, "answer@v2", found, actor="eve")
    back = release.rollback(pipeline.prompts, pipeline.force, "answer", actor="ada", reason="too short")
    assert (back.after, pipeline.force.label("answer")) == ("answer@v1", "answer@v1")
    with pytest.raises(NothingBefore, match="none to go back to"):
        release.rollback(pipeline.prompts, pipeline.force, "answer", actor="ada")
    await pipeline.close()


async def test_an_edit_after_the_run_makes_the_run_worthless(tmp_path: Path, evalset: str) -> None:
    pipeline = await opened(tmp_path)
    await release.run_missing(pipeline, "answer@v2", [evalset], lambda _: lambda *_: None)
    path = pipeline.prompts.folder / "answer" / "v2.md"
    path.write_text(path.read_text().replace("very short", "extremely short"))
    found = await release.evidence(pipeline, "answer@v2", [evalset], SMALL)
    assert reasons(found) == ["needs evalset tiny: answer@v2 was not run on this fingerprint"]
    change = release.promote(pipeline, "answer@v2", found, actor="ada", override="the demo is tomorrow")
    assert (change.action, change.reason) == ("override", "the demo is tomorrow")
    assert change.gate is not None
    assert "was not run on this fingerprint" in change.gate["evalsets"][0]["reasons"][0]
    await pipeline.close()


async def test_a_condense_prompt_needs_cases_with_a_history(tmp_path: Path, evalset: str) -> None:
    pipeline = await opened(tmp_path)
    text = (SHIPPED / "condense" / "v1.md").read_text()
    (pipeline.prompts.folder / "condense" / "v2.md").write_text(text + "\nBe brief.\n")
    await release.run_missing(pipeline, "condense@v2", [evalset], lambda _: lambda *_: None)
    found = await release.evidence(pipeline, "condense@v2", [evalset], SMALL)
    assert reasons(found) == ["no case of tiny has a history, so it says nothing about condensing"]
    await pipeline.close()


async def test_after_a_change_what_was_run_before_is_run_again(tmp_path: Path, evalset: str) -> None:
    pipeline = await opened(tmp_path)
    assert await release.run_changed(pipeline, [evalset], lambda _: lambda *_: None) == []
    assert len(await release.run_missing(pipeline, "answer@v1", [evalset], lambda _: lambda *_: None)) == 1
    assert await release.run_changed(pipeline, [evalset], lambda _: lambda *_: None) == []
    await pipeline.close()
    pipeline = await make_pipeline(
        documents=(), rules={"guardrails": "changed"}, prompts={"folder": str(tmp_path / "prompts")}
    )
    assert len(await release.run_changed(pipeline, [evalset], lambda _: lambda *_: None)) == 1
    await pipeline.close()


async def test_a_bisections_trial_is_no_evidence(tmp_path: Path, evalset: str) -> None:
    pipeline = await opened(tmp_path)
    cases = load_evalset(evalset)
    kb = await corpora.prepare(cases, pipeline.knowledge)
    for prompt in ("answer@v1", "answer@v2"):
        variant = Variant(prompt, pipeline.rules.model)
        await runner.run(
            cases, variant, pipeline, runner.Plan(settings=RunSettings(trial="passages 5 → 1")), kb=kb
        )
    pipeline.store.drain()
    (found,) = await release.evidence(pipeline, "answer@v2", [evalset], SMALL)
    assert found.missing == ("answer@v2", "answer@v1")
    await pipeline.close()
