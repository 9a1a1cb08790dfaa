"""A BEIR folder goes through the real pipeline: indexed apart, asked, scored, reported."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from evalsets.cases import cases, corpora
from evalsets.reports import findings, report
from evalsets.runs import runner
from evalsets.runs.runner import Variant
from pipeline.build import build
from pipeline.settings import load_settings
from pipeline.turn import Pipeline

DOCUMENTS = {
    "lid": "To keep the laptop awake when the lid is closed, open the power panel and choose never suspend.",
    "font": "To make the text larger, open the accessibility panel and switch large text on.",
    "print": "To add a printer, open the printers panel, press add and choose the printer from the list.",
}
QUESTIONS = {"q1": ("How do I add a printer?", "print"), "q2": ("How can I make the text larger?", "font")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "small"
    made.mkdir()
    rows = [{"_id": key, "title": key.title(), "text": text} for key, text in DOCUMENTS.items()]
    (made / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    rows = [{"_id": key, "text": text, "kind": "answerable"} for key, (text, _) in QUESTIONS.items()]
    (made / "queries.jsonl").write_text("\n".join(map(json.dumps, rows)))
    judged = [f"{key}\t{document}\t1" for key, (_, document) in QUESTIONS.items()]
    (made / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]))
    return made


@pytest.fixture
async def pipeline() -> AsyncIterator[Pipeline]:
    made = build(load_settings())
    yield made
    await made.close()


async def test_a_beir_folder_end_to_end(folder: Path, pipeline: Pipeline) -> None:
    evalset = cases.load_evalset(folder)
    embedded: list[str] = []
    kb = await corpora.prepare(evalset, pipeline.knowledge, lambda done, total, name: embedded.append(name))
    assert kb is not None and kb.startswith("eval-")
    assert len(embedded) == 3
    assert await corpora.prepare(evalset, pipeline.knowledge, lambda *_: embedded.append("again")) == kb
    assert "again" not in embedded
    found = await runner.run(evalset, Variant(), pipeline, kb=kb)
    assert found.variant == "answer@v1 · extractive"
    assert found.metrics["hit@1"].mean == 1.0
    assert found.metrics["citation_precision"].mean == 1.0
    with pipeline.store.read() as ledger:
        told = findings.of_run(ledger, found.run_id)
    versions = {row.title: row.value for row in told.versions}
    assert versions["Knowledge base"] == kb
    assert versions["Index version"] != "—"
    assert versions["Embedder"].startswith("minilm")
    assert "Hit@5" in report.html(told)


async def test_retrieval_alone(folder: Path, pipeline: Pipeline) -> None:
    evalset = cases.load_evalset(folder)
    kb = await corpora.prepare(evalset, pipeline.knowledge)
    found = await runner.run(evalset, Variant(only="retrieval"), pipeline, kb=kb)
    assert found.metrics["recall@5"].mean == 1.0
    assert found.cost_usd == 0.0
