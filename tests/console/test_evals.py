from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import streamlit

from console.dashboard import charts, data, jobs
from console.dashboard.jobs import Wanted
from tests.console.console_server import page, shown
from traces.ids import uuid7
from traces.journal import Journal
from traces.records import Run, RunSettings, Score

SLEEPER = (
    sys.executable,
    "-c",
    "import signal, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"  # as in a shell's background
    "print('asked for', sys.argv[1:], flush=True); time.sleep(60)",
)
FAILER = (sys.executable, "-c", "import sys; sys.exit('no such evalset')")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def runs(five_runs: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(five_runs))
    streamlit.cache_data.clear()
    streamlit.cache_resource.clear()
    return data.read_runs()


def until(happens: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if happens():
            return True
        time.sleep(0.05)
    return False


def test_no_runs_says_how_to_start_one(folder: Path) -> None:
    app = page("evals")
    assert not app.exception
    assert "No runs yet" in shown(app)
    assert [button.label for button in app.button] == ["Start run"]


def test_a_judge_costs_money_though_the_model_is_free(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    priced = [jobs.Expected("answer@v1", 0, 0.0, 0.0), jobs.Expected("judged by openai:x", 300, 1.5, 2.5)]
    orders: list[Wanted] = []
    monkeypatch.setattr(jobs, "estimate", lambda order: orders.append(order) or priced)
    monkeypatch.setattr(data, "known_models", lambda: ["extractive", "openai:x"])
    app = page("evals")
    judge = next(box for box in app.selectbox if box.label == "Judge")
    app = judge.set_value("openai:x").run()
    start, offer = (next(b for b in app.button if b.label == label) for label in ("Start run", "Estimate"))
    assert start.disabled
    app = offer.click().run()
    assert orders[0].judge == "openai:x"
    assert not next(b for b in app.button if b.label == "Start run").disabled
    assert any("300 calls; about \\$1.50, at most \\$2.50" in one.value for one in app.caption)


@pytest.mark.parametrize(
    ("text", "said"),
    [("0", "more than 0"), ("-1", "more than 0"), ("ten", "number"), ("1,250", "1250 or 1.250")],
)
def test_a_budget_that_cannot_be_meant_holds_the_start(folder: Path, text: str, said: str) -> None:
    app = page("evals")
    budget = next(box for box in app.text_input if box.label == "Budget, $")
    app = budget.set_value(text).run()
    assert said in app.warning[0].value and not app.exception
    assert next(b for b in app.button if b.label == "Start run").disabled


def test_the_list_shows_means_with_intervals_and_counts_failures(runs: list[Run]) -> None:
    app = page("evals")
    html = shown(app)
    assert not app.exception
    assert html.count("✓ finished") == 5
    assert "150 of 150 cases" in html
    scores = data.read_scores(next(run for run in runs if run.only is None))
    found = scores.summary["groundedness"]
    assert f"{found.mean:.3f}" in html
    assert f"{found.ci_low:.3f} – {found.ci_high:.3f}" in html


def test_a_run_that_asks_each_case_again_shows_how_far_its_answers_differ(folder: Path) -> None:
    settings = RunSettings(repetitions=2)
    run = Run(
        "again",
        "demo",
        "f",
        "answer@v1 · extractive",
        "finished",
        datetime.now(UTC),
        settings=settings,
        cases=1,
        done=1,
    )
    journal = Journal(folder / "journal")
    journal.write(run)
    for repetition, value in ((1, 1.0), (2, 0.5)):
        journal.write(
            Score(
                uuid7(),
                "t",
                "hit@5",
                value,
                "eval",
                datetime.now(UTC),
                run_id="again",
                case_id="c",
                repetition=repetition,
            )
        )
    journal.close()
    html = shown(page("evals", run="again"))
    assert "1 of 1 cases, 2 times each" in html
    assert "Between repetitions" in html and "± 0.354" in html


def test_a_run_has_a_page_with_its_metrics_and_weakest_cases(runs: list[Run]) -> None:
    run = next(run for run in runs if run.only is None)
    app = page("evals", run=run.run_id)
    html = shown(app)
    assert not app.exception
    assert "Groundedness" in html and "Not applicable" in html
    assert f"/compare?evalset=demo&amp;baseline={runs[runs.index(run) + 1].run_id}" in html
    assert run.evalset_fingerprint in html
    assert "Where pages were lost" in [tab.label for tab in app.tabs] and "Dropped by the reranker" in html
    assert html.count("/turns?turn=") >= 20
    assert "No such run" in shown(page("evals", run="unknown"))


def test_the_report_of_a_run_is_one_html_file(runs: list[Run]) -> None:
    from console.dashboard.views import report

    page("evals")
    html = str(report._written(data.report_of_run(runs[0].run_id), "html"))
    assert html.lstrip().lower().startswith("<!doctype html>")
    assert "http" not in html.split("</head>")[0]


def test_comparing_says_what_is_better_in_a_sentence(runs: list[Run]) -> None:
    by_label = {(run.prompt, run.model): run.run_id for run in runs}
    baseline = by_label["answer@v1", "anthropic:claude-haiku-5-5"]
    candidate = by_label["answer@v2", "anthropic:claude-sonnet-5"]
    app = page("compare", evalset="demo", baseline=baseline, runs=candidate)
    html = shown(app)
    assert not app.exception
    assert "150 cases in common" in html
    assert "answer@v2 · anthropic:claude-sonnet-5 is better on Groundedness by" in html
    assert "claude-sonnet-5 is worse on Cost per turn by" in html
    assert "No detectable difference on Abstention right" in html
    assert "▲ +0.0" in html and "baseline" in html
    assert "claude-haiku-5-5, baseline · " in html  # both answers of a changed case
    assert app.query_params["baseline"] == baseline


def test_one_run_alone_asks_for_another(folder: Path) -> None:
    app = page("compare")
    assert not app.exception
    assert "Two runs are needed" in shown(app)


def test_starting_a_run_makes_a_process_that_can_be_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "COMMAND", SLEEPER)
    app = page("evals")
    app.button[0].click().run()
    (job,) = jobs.remembered(folder).values()
    assert jobs.alive(job)
    assert until(lambda: "asked for" in jobs.output(folder, job.run_id))
    said = jobs.output(folder, job.run_id)
    assert "'demo', '--json', '--prompt', 'answer@v1', '--model', 'extractive'" in said
    assert f"'--run', '{job.run_id}', '--yes'" in said
    jobs.stop(job)
    assert until(lambda: not jobs.alive(job))


def test_a_run_that_does_not_start_shows_its_last_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "COMMAND", FAILER)
    job = jobs.start(folder, Wanted("demo", only_retrieval=True, limit=3))
    assert until(lambda: not jobs.alive(job))
    app = page("evals")
    assert not app.exception
    assert "did not start" in app.status[0].label
    assert "no such evalset" in app.code[0].value


def test_progress_is_read_from_the_ledger(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "COMMAND", SLEEPER)
    job = jobs.start(folder, Wanted("demo", ("answer@v1",), ("extractive",)))
    run = _run(job.run_id)
    _write(folder, run, replace(run, done=40, failed=2, seconds=20.0))
    app = page("evals")
    assert not app.exception
    assert "◌ running" in shown(app)
    assert "40 of 97 cases, 2 failed" in shown(app)
    assert [button.label for button in app.button] == ["Start run", "Stop this run"]
    jobs.stop(job)
    assert until(lambda: not jobs.alive(job))
    assert "✕ interrupted" in shown(page("evals"))


def test_a_reused_process_id_is_not_taken_for_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "COMMAND", SLEEPER)
    job = jobs.start(folder, Wanted("demo"))
    assert not jobs.alive(replace(job, born="1"))
    jobs.stop(replace(job, born="1"))
    assert jobs.alive(job)
    jobs.stop(job)
    assert until(lambda: not jobs.alive(job))


def test_the_pages_load_nothing_heavy_by_themselves() -> None:
    pages = ", ".join(f"console.dashboard.views.{name}" for name in ("overview", "turns", "evals", "compare"))
    heavy = "{'ragas', 'lancedb', 'gradio', 'langchain', 'onnxruntime'}"
    code = f"import sys, {pages}; print(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert answer.stdout.strip() == "[]"


def _run(run_id: str) -> Run:
    return Run(
        run_id,
        "demo",
        "4be1c7d09a55",
        "answer@v1 · extractive",
        "running",
        datetime.now(UTC),
        cases=97,
        done=0,
        failed=0,
    )


def _write(folder: Path, *records: Run) -> None:
    journal = Journal(folder / "journal")
    for record in records:
        journal.write(record)
    journal.close()


@pytest.mark.parametrize("most", [0.00007, 0.000099, 0.0015, 0.3, 12.0])
def test_costs_stand_at_even_places_under_an_axis_without_noise(most: float) -> None:
    points = [
        charts.PlottedRun(0.4, 0.3, 0.5, most / 2, "a", "#000"),
        charts.PlottedRun(0.5, 0.4, 0.6, most, "b", "#111"),
    ]
    axis = charts.quality_cost(points, "correctness").to_dict()["layout"]["xaxis"]
    places, texts = axis["tickvals"], axis["ticktext"]
    assert 3 <= len(texts) <= 11 and max(places) <= most * 1.001
    assert all(len(text) <= 9 for text in texts) and len(set(texts)) == len(texts)


def test_retrieval_settings_are_asked_beside_each_other_by_one_process() -> None:
    order = Wanted("demo", ("answer@v1", "answer@v2"), ("extractive",), ("configured", "passages=8"))
    assert order.variants == 4 and order.title.endswith("configured | passages=8")
    assert order.arguments()[-4:] == ["--retrieval", "configured", "--retrieval", "passages=8"]
    assert "--retrieval" not in Wanted("demo", retrieval=("configured",)).arguments()
