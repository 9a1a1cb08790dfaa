"""Reports are whole in one file, escaped, and say what failed."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import shutil
from dataclasses import fields, replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from evalsets.metrics.columns import Summary
from evalsets.reports import compare, findings, report
from evalsets.reports.content import ComparisonReport, RunReport
from evalsets.runs import runner
from evalsets.runs.runner import Variant
from pipeline.errors import KnowledgeError
from pipeline.prompts.library import Library
from tests.evalsets.fakes import Stage, make_set

EVIL = '=HYPERLINK("http://x") <script>alert(1)</script> | `a` \x0b'
# the keys of the JSON report, which other tools read
METRIC = ["name", "title", "what", "better", "unit", "headline", "mean", "ci_low", "ci_high", "n"]
METRIC += ["failed", "not_applicable", "coverage", "threshold", "passed"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> RunReport:
    async def make() -> RunReport:
        stage = Stage(tmp_path_factory.mktemp("small"))
        stage.wrong = {"c1", "c4"}
        stage.broken["c2"] = KnowledgeError(EVIL)
        evalset = make_set(15, title=f"Small {EVIL}", thresholds={"hit@5": 0.95, "abstention_correct": 0.5})
        found = await runner.run(evalset, Variant(), stage.pipeline)
        with stage.store.read() as ledger:
            return findings.of_run(ledger, found.run_id)

    return asyncio.run(make())


@pytest.fixture
async def compared(tmp_path: Path) -> ComparisonReport:
    stage = Stage(tmp_path)
    stage.wrong = {f"c{i}" for i in range(12)}
    await runner.run(make_set(20), Variant(), stage.pipeline, runner.Plan(run_id="run-a"))
    stage.wrong = {"c18"}
    await runner.run(make_set(20), Variant(prompt="answer@v2"), stage.pipeline, runner.Plan(run_id="run-b"))
    with stage.store.read() as ledger:
        return findings.of_comparison(ledger, compare.compare_runs(ledger, "run-a", "run-b"))


def test_the_html_needs_nothing_from_outside(small: RunReport) -> None:
    text = report.html(small)
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert not re.search(r'(src|href)="|@import|url\(', text)
    for expected in (
        "words",
        "v3",
        Library().get("answer@v1").fingerprint,
        "Seed",
        "Price table",
        "Small",
        "lower is better",
    ):
        assert expected in text
    assert re.search(r"Hit@5.*?chip bad", text, re.DOTALL)
    assert "1 of 15 cases failed" in text


def test_the_dict_knows_every_case(small: RunReport) -> None:
    written = json.loads(report.json(small))
    assert [*written] == ["kind", *(field.name for field in fields(RunReport))]
    assert [*written["cases"][0]] == CASE and [*written["worst"][0]] == [*CASE, "why"]
    assert [*written["metrics"][0]] == METRIC
    failed = next(case for case in written["cases"] if case["case_id"] == "c2")["scores"]["hit@5"]
    assert [*failed] == ["value", "failed", "reason"]
    assert len(small.cases) == 15
    hit = next(row for row in small.metrics if row.name == "hit@5")
    assert (hit.n, hit.failed, hit.passed) == (13, 1, False)
    assert hit.coverage == pytest.approx(13 / 14)
    assert small.worst[0].case_id == "c2"
    assert {"c1", "c4"} <= {case.case_id for case in small.worst}


async def test_the_report_says_what_the_run_said(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.wrong = {"c3", "c11"}
    found = await runner.run(make_set(30), Variant(), stage.pipeline)
    with stage.store.read() as ledger:
        told = findings.of_run(ledger, found.run_id)
    names = [field.name for field in fields(Summary)]
    rows = {row.name: Summary(*(getattr(row, name) for name in names)) for row in told.metrics}
    assert rows == found.metrics


def test_markdown_cells_hold_no_markup(small: RunReport) -> None:
    text = report.markdown(small)
    row = next(line for line in text.splitlines() if line.startswith("| c2"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 6
    assert "<script>" not in text.replace("\\<script\\>", "")


def test_csv_has_no_formula(small: RunReport) -> None:
    found = replace(small, cases=(replace(small.cases[0], question=EVIL), *small.cases[1:]))
    rows = list(csv.DictReader(io.StringIO(report.csv(found))))
    assert len(rows) == 15
    assert rows[0]["question"].startswith("'=HYPERLINK")
    by_case = {row["case_id"]: row for row in rows}
    assert by_case["c2"]["groundedness"] == "failed"
    assert by_case["c14"]["recall@5"] == ""
    assert by_case["c1"]["recall@5"] == "0.0"


def test_junit_fails_what_misses_its_threshold(small: RunReport) -> None:
    root = ElementTree.fromstring(report.junit(small))
    cases, metrics = root
    # hit@5 misses it, abstention_correct passes 0.5 with 95 % coverage only
    failed = {test.get("name") for test in metrics if test.find("failure") is not None}
    assert failed == {"hit@5", "abstention_correct"}
    assert (root.get("tests"), metrics.get("failures")) == (str(15 + len(metrics)), "2")
    lost = {test.get("name"): test.findtext("failure") or "" for test in cases}
    assert {"c1", "c2", "c4"} <= {name for name, text in lost.items() if text} < set(lost)
    assert "expected: an answer from doc-c1" in lost["c1"] and "actual: " in lost["c1"]
    assert lost["c1"].startswith("Hit@5 failed")


async def test_a_comparison_in_every_text_format(compared: ComparisonReport) -> None:
    sentence = compared.sentence
    assert re.match(r"answer@v2 is better on Hit@5 by 0\.\d+ to 0\.\d+, Recall@5 by .* and ", sentence)
    page = report.html(compared)
    assert "▲ better" in page
    assert "▲ answer@v2 better" in page
    assert "▼ answer@v2 worse" in page
    assert compared.verdict.startswith("answer@v2 is better than answer@v1 on Hit@5 by 0.")
    assert compared.advice == "Take answer@v2."
    assert "Expected: " in page and "What to do next" in page
    first = report.markdown(compared).splitlines()[:3]
    assert [line.strip("* ")[:9] for line in first[:2]] == ["answer@v2", "Take answ"]
    assert "turns cost" in first[2]
    assert "answer@v2" in page
    assert "Won · lost" in report.markdown(compared)
    assert next(csv.DictReader(io.StringIO(report.csv(compared))))["metric"] == "hit@5"
    cases, metrics = ElementTree.fromstring(report.junit(compared))
    assert metrics.get("failures") == "0"
    newly = [test for test in cases if test.find("failure") is not None]
    assert newly and "newly failed" in (newly[0].findtext("failure") or "")


def test_formats_are_checked(small: RunReport, tmp_path: Path) -> None:
    with pytest.raises(report.ReportError, match="no format 'docx'; there are html"):
        report.write(small, "docx", tmp_path / "x")
    report.write(small, "md", tmp_path / "new" / "x.md")
    assert (tmp_path / "new" / "x.md").read_text().startswith("**answer@v1")


def test_a_pdf_without_a_browser_says_so(
    small: RunReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(report.ReportError, match="none is installed; take html"):
        report.pdf(small, tmp_path / "x.pdf")


@pytest.mark.browser
def test_a_pdf(small: RunReport, tmp_path: Path) -> None:
    if not any(map(shutil.which, report.BROWSERS)):
        pytest.skip("no Chromium is installed")
    report.pdf(small, tmp_path / "x.pdf")
    assert (tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")


CASE = ["case_id", "failing", "question", "answerability", "outcome", "answer", "reference"]
CASE += ["relevant_ids", "turn_id", "error_class", "scores"]
