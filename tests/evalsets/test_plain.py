"""Reports say in plain words what a comparison means, by the variants' names."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evalsets.metrics.metric import Better
from evalsets.reports import plain
from evalsets.reports.compare import Comparison, Difference
from evalsets.reports.content import MetricRow
from evalsets.reports.plain import ComparisonWords
from pipeline.prompts.library import SHIPPED, Library
from traces.records import Run

A = Run("run-aaaaaa", "mine", "f", "answer@v1 · openai:m", "finished", datetime.now(UTC), prompt="answer@v1",
        model="openai:m", cases=40, done=40, failed=0)  # fmt: skip
B = replace(A, run_id="run-bbbbbb", variant="answer@v2 · openai:m", prompt="answer@v2")


def row(metric: str, verdict: str, a: float, b: float, **more: object) -> Difference:
    known: dict[str, object] = {"ci_low": 0.02, "ci_high": 0.08, "mean_a": a, "mean_b": b, "p": 0.01}
    return Difference(metric, verdict, "…", 40, 0, 1.0, **{**known, **more})  # type: ignore[arg-type]


def metric(name: str, title: str, better: Better, unit: str, mean: float, **held: Any) -> MetricRow:
    about = {"coverage": 1.0, "threshold": None, "passed": None, **held}
    return MetricRow(
        mean, None, None, 40, 0, 0, name=name, title=title, what="…", better=better, unit=unit, headline=True,
        **about,
    )  # fmt: skip


def told(*rows: Difference, a: Run = A, b: Run = B) -> ComparisonWords:
    return plain.of_comparison(Comparison(a, b, 40, (), rows))


def test_a_loss_of_quality_keeps_what_is_there() -> None:
    said = told(row("groundedness", "worse", 0.9, 0.8), row("cost_usd", "better", 0.004, 0.002))
    assert said.verdict.startswith("answer@v2 is worse than answer@v1 on Groundedness by 0.020 to 0.080")
    assert said.advice == "Keep answer@v1: answer@v2 loses quality."
    assert said.means == ("1,000 turns cost $2.00 with answer@v2 and $4.00 with answer@v1: $2.00 less.",)
    assert "in which answer@v2 lost" in " ".join(said.next)


@pytest.mark.parametrize(
    ("rows", "advice"),
    [
        ([row("groundedness", "better", 0.8, 0.9)], "Take answer@v2."),
        (
            [row("groundedness", "better", 0.8, 0.9), row("seconds", "worse", 1.0, 2.0)],
            "Take answer@v2, if Whole turn may be worse.",
        ),
        (
            [row("seconds", "worse", 1.0, 2.0)],
            "Keep answer@v1: answer@v2 is no better, and worse on Whole turn.",
        ),
        ([row("seconds", "better", 2.0, 1.0)], "Take answer@v2: as good as far as these cases show"),
        (
            [row("seconds", "better", 2.0, 1.0), row("groundedness", "same", 0.8, 0.8, detectable=0.2)],
            "Keep answer@v1 for now: answer@v2 is cheaper or faster, but 40 cases cannot show a loss",
        ),
        ([row("groundedness", "same", 0.8, 0.81)], "Keep answer@v1: nothing speaks for a change."),
    ],
)
def test_the_advice_follows_the_verdicts(rows: list[Difference], advice: str) -> None:
    assert told(*rows).advice.startswith(advice)


def test_lost_runs_decide_nothing() -> None:
    said = told(row("groundedness", "better", 0.8, 0.9), b=replace(B, failed=10))
    assert said.advice == "Decide nothing yet: the run of answer@v2 is finished, 10 cases failed."


def test_times_without_proof_are_said_to_be_so() -> None:
    (mean,) = told(row("seconds", "none", 1.0, 1.5)).means
    assert (
        mean == "Half of the turns have the whole answer after 1.50 s with answer@v2, 1.00 s with answer@v1"
        " (no proven difference)."
    )


def test_names_tell_the_runs_apart() -> None:
    assert plain.names(A, replace(A, model="openai:n")) == ("openai:m", "openai:n")
    assert plain.names(A, replace(B, model="openai:n", variant="both")) == ("answer@v1 · openai:m", "both")
    assert plain.names(A, replace(A, run_id="run-cccccc")) == ("run aaaaaa", "run cccccc")


def test_what_changed_in_the_prompt_is_shown(tmp_path: Path) -> None:
    (tmp_path / "answer").mkdir()
    text = (SHIPPED / "answer" / "v1.md").read_text()
    (tmp_path / "answer" / "v1.md").write_text(text)
    (tmp_path / "answer" / "v2.md").write_text(text + "\nAnswer in one sentence.\n")
    library = Library(tmp_path)
    found = Comparison(A, B, 40, (), (row("groundedness", "same", 0.8, 0.81),))
    assert "+Answer in one sentence." in str(plain.of_comparison(found, library).prompt_diff)
    edited = replace(found, b=replace(B, prompt_fingerprint="00000000"))
    assert plain.of_comparison(edited, library).prompt_diff is None
    gone = replace(found, b=replace(B, prompt="answer@v9"))
    assert plain.of_comparison(gone, library).prompt_diff is None


def test_a_run_says_what_it_misses() -> None:
    metrics = [
        metric("groundedness", "Groundedness", "higher", "share", 0.7, threshold=0.9, passed=False),
        metric("cost_usd", "Cost", "lower", "usd", 0.001),
    ]
    said = plain.of_run(A, metrics)
    assert (
        said.verdict
        == "answer@v1 · openai:m went through 40 of 40 cases, 0 failed; weakest: Groundedness 0.700."
    )
    assert said.advice == "Not ready: Groundedness misses its threshold."
    assert said.means == ("1,000 such turns cost $1.00.",)
    assert plain.of_run(A, []).advice.startswith("No threshold says")
    assert plain.of_run(replace(A, state="stopped"), metrics).advice.startswith("Decide nothing")
    assert plain.of_run(A, [replace(metrics[0], passed=True)]).advice.startswith("Ready by its own")
