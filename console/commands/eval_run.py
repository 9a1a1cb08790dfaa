"""`answerdeck eval run`: an evalset through one variant or several, with its price told before."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer

from console.commands.asking import ask, expect
from console.commands.consent import Yes, reach
from console.commands.evals import Json
from console.commands.figures import comparison_table, cost, metric_table
from console.commands.guardboard import show
from console.commands.judge_price import expect_judge
from console.commands.judges import JudgedRun, chosen, judged
from console.commands.opened import drained, settings_of, tried
from console.commands.screen import emit, failed, wrong
from console.commands.targets import ask_target, expect_target, template_of
from evalsets.cases.cases import load_evalset
from evalsets.cases.evalset import Evalset, EvalsetError
from evalsets.judges.process import job
from evalsets.metrics.columns import Summary
from evalsets.reports.compare import Comparison, compare_runs
from evalsets.runs.asker import CONFIGURED
from evalsets.runs.estimate import Estimate
from evalsets.runs.outcome import Outcome
from evalsets.runs.runner import Plan, Variant
from evalsets.runs.template import Template
from evalsets.runs.work import too_many_failed
from pipeline import shelving
from pipeline.prompts.library import name_of
from pipeline.settings import load_settings

Texts = list[str] | None


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What is to be run: variants of ours, or another chatbot asked by a form."""

    cases: Evalset
    plan: Plan
    variants: Sequence[Variant]
    form: Template | None
    target_model: str | None
    json: bool
    on: str | None = None

    def expect(self, judge: str | None, metrics: str | None) -> None:
        """Print what it would take, and what judging it would."""
        judging: dict[str, Estimate] = {}
        if judge is not None:
            runs = 1 if self.form is not None else len(self.variants)
            judging[f"judged by {judge}"] = expect_judge(self.cases, self.plan, runs, judge, metrics)
        if self.form is not None:
            expect_target(
                self.cases, self.form, self.plan, self.target_model, judging=judging, json=self.json
            )
        else:
            expect(self.cases, self.variants, self.plan, judging=judging, json=self.json)

    def run(self, cache: bool | None, *, yes: bool) -> Sequence[Outcome]:
        """Run it; without a word on the cache one variant alone takes answers given before."""
        if self.form is not None:
            work = ask_target(self.cases, self.form, self.plan, self.target_model, yes=yes, quiet=self.json)
        else:
            alone = len(self.variants) == 1 if cache is None else cache
            work = ask(
                self.cases, self.variants, self.plan,
                cache=alone, yes=yes, quiet=self.json, on=self.on,
            )  # fmt: skip
        try:
            return asyncio.run(work)
        except KeyboardInterrupt:
            raise failed("stopped; go on with the same command and --run ID") from None


@dataclass(frozen=True, slots=True)
class Ended:
    """A run as it ended, and what a judge made of it."""

    outcome: Outcome
    judged: JudgedRun | None = None

    @property
    def metrics(self) -> Mapping[str, Summary]:
        return {**self.outcome.metrics, **(self.judged.metrics if self.judged else {})}

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        judged = {} if self.judged is None else {"judged": self.judged.to_dict()}
        return replace(self.outcome, metrics=self.metrics).to_dict() | judged


def run_evalset(
    evalset: Annotated[str, typer.Argument(help="An evalset's name, a .jsonl or .csv, or a BEIR folder.")],
    only: Annotated[str | None, typer.Option(help="'retrieval': no answers, no model.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many cases (seeded choice).")] = None,
    prompt: Annotated[Texts, typer.Option(help="Prompt version, e.g. answer@v2; several to compare.")] = None,
    model: Annotated[Texts, typer.Option(help="Model, e.g. openai:gpt-6-luna; several to compare.")] = None,
    repetitions: Annotated[int, typer.Option(min=1, max=100, help="Ask each case so often.")] = 1,
    retries: Annotated[int, typer.Option(min=0, max=5, help="Ask failed cases again so often.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of choice and intervals.")] = 0,
    run_id: Annotated[str | None, typer.Option("--run", help="Name of the run; go on with one.")] = None,
    queries: Annotated[
        str | None,
        typer.Option(help="Of a BEIR folder: 'last', 'rewrite' or 'tasks' (if it has tasks.jsonl)."),
    ] = None,
    judge: Annotated[str | None, typer.Option(help="Let this model judge the answers afterwards.")] = None,
    metrics: Annotated[str | None, typer.Option(help="RAGAS metrics, criteria, or 'rubric'.")] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="Stop at this many dollars.")] = None,
    retrieval: Annotated[
        Texts,
        typer.Option(help="Try other settings (a trial), e.g. passages=8,floor=0.2; several to compare."),
    ] = None,
    only_estimate: Annotated[
        bool, typer.Option("--estimate", help="Say what it would take, run nothing.")
    ] = False,
    target: Annotated[str | None, typer.Option(help="Ask another chatbot: its OpenAI-style address.")] = None,
    target_model: Annotated[str | None, typer.Option(help="The model to name to it.")] = None,
    template: Annotated[
        Path | None, typer.Option(help="A TOML or JSON file that says how it is asked.")
    ] = None,
    cache: Annotated[
        bool | None,
        typer.Option(
            "--cache/--no-cache", help="Take answers a model gave before; by default for one variant alone."
        ),
    ] = None,
    on: Annotated[
        str | None, typer.Option("--on", help="Ask on processes, processes:N, ray or ray://host:port.")
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Run an evalset through the pipeline; each case is a turn, each metric a score."""
    options = (only, prompt, model, run_id, judge, limit, target, template)
    if evalset == "guardrails" and not any(options):
        show(json=json)
        return
    variants = _variants(only, prompt, model, retrieval, run_id)
    _place(on, variants)
    own = {"--on": on, "--only": only, "--prompt": prompt, "--model": model}
    own |= {"--retrieval": retrieval, "--budget": budget}
    form = template_of(target, template, target_model, own=own)
    cases = _cases(evalset, queries)
    plan = Plan(
        limit=limit, seed=seed, run_id=run_id, repetitions=repetitions, retries=retries, budget_usd=budget
    )
    order = RunOrder(cases, plan, variants, form, target_model, json, on)
    if only_estimate:
        order.expect(judge, metrics)
        return
    _check_judge(judge, metrics, cases, yes=yes)
    ends = [
        _ended(outcome, judge, metrics, budget, yes=yes, quiet=json) for outcome in order.run(cache, yes=yes)
    ]
    outcomes = [end.outcome for end in ends]
    prompted = form is None and only is None
    _print(ends, json=json, onward=prompted and all(map(_decides, outcomes)))
    _demand(outcomes)


def _ended(
    outcome: Outcome, judge: str | None, metrics: str | None, budget: float | None, *, yes: bool, quiet: bool
) -> Ended:
    """Return a run as it ended, judged where a judge was named and it is whole."""
    if judge is None or outcome.state != "finished":
        return Ended(outcome)
    return Ended(outcome, judged(outcome.run_id, judge, metrics, budget, yes=yes, quiet=quiet))


def _variants(
    only: str | None, prompt: Texts, model: Texts, retrieval: Texts, run_id: str | None
) -> list[Variant]:
    """Return what is to be run; ends the command when the options do not fit."""
    if only not in (None, "retrieval"):
        raise wrong(f"--only {only!r} is unknown; it can be 'retrieval'")
    searches = [_search(text) for text in retrieval or [CONFIGURED]]
    pairs = product(prompt or [None], model or [None]) if only is None else [(None, None)]
    every = (Variant(*pair, only=only, retrieval=search) for pair, search in product(pairs, searches))
    variants = list(dict.fromkeys(every))
    if run_id is not None and len(variants) > 1:
        raise wrong("--run names one run; leave it out with several variants")
    return variants


def _search(text: str) -> str | None:
    """Return retrieval settings to try, written one way; None for those in force."""
    values = {} if text.strip() == CONFIGURED else settings_of(text)
    return ",".join(f"{key}={value}" for key, value in values.items()) or None


def _place(on: str | None, variants: Sequence[Variant]) -> None:
    """End the command where several retrieval settings were to be asked on workers."""
    settings = [text or CONFIGURED for text in tried(variants)]
    if on is not None and len(settings) > 1:
        raise wrong(
            f"--on asks under one retrieval setting, not {len(settings)} ({', '.join(settings)});"
            " leave --on out to compare them side by side, or give one --retrieval"
        )


def _cases(evalset: str, queries: str | None) -> Evalset:
    if queries not in (None, "last", "rewrite", "tasks"):
        raise wrong(f"--queries {queries!r} is unknown; it can be 'last', 'rewrite' or 'tasks'")
    try:
        return load_evalset(evalset, queries=queries)
    except EvalsetError as error:
        raise wrong(str(error)) from None


def _decides(outcome: Outcome) -> bool:
    """Say whether a run ended with enough answers to decide anything."""
    return outcome.state == "finished" and not too_many_failed(outcome.failed, outcome.cases)


def _demand(outcomes: Sequence[Outcome]) -> None:
    """End with an error when a run was stopped or lost too many cases to decide anything."""
    if any(outcome.state == "stopped" for outcome in outcomes):
        raise failed(f"stopped: {outcomes[-1].error}; go on with a larger cap and --run ID")
    broken = [_broken(outcome) for outcome in outcomes if too_many_failed(outcome.failed, outcome.cases)]
    if broken:
        raise failed("\n".join(broken))


def _broken(outcome: Outcome) -> str:
    """Say why a run decides nothing, and how to mend it."""
    return (
        f"{outcome.failed} of {outcome.cases} cases of {outcome.variant} failed, so this run decides"
        f" nothing. Mostly: {outcome.lost}. Ask them again: the same command with --run {outcome.run_id}"
    )


def _check_judge(judge: str | None, metrics: str | None, cases: Evalset, *, yes: bool) -> None:
    """End the command before a run is made that could not be judged as asked."""
    if judge is None:
        return
    chosen(metrics, cases.rubric)
    job(judge, load_settings())
    reach(yes=yes)


def _print(ends: Sequence[Ended], *, json: bool, onward: bool) -> None:
    first, *others = ends
    with drained() as ledger:
        comparisons = [compare_runs(ledger, first.outcome.run_id, end.outcome.run_id) for end in others]
    if json and others:
        runs = [end.to_dict() for end in ends]
        emit({"runs": runs, "comparisons": [comparison.to_dict() for comparison in comparisons]})
    elif json:
        emit(first.to_dict())
    else:
        for end in ends:
            _show(end)
        if not others:
            print(f"Report: answerdeck eval report {first.outcome.run_id}")
        if not others and onward:
            print("Try another prompt against it: answerdeck prompts new answer")
        for other, comparison in zip(others, comparisons, strict=True):
            print(f"\n{other.outcome.variant}, against {first.outcome.variant}")
            comparison_table(comparison)
            print(f"\nReport: answerdeck eval report {other.outcome.run_id} --against {first.outcome.run_id}")
            if onward:
                _onward(comparison)


def _onward(comparison: Comparison) -> None:
    """Say how a prompt version that was held against another comes into force."""
    a, b = comparison.a, comparison.b
    if a.model != b.model or a.prompt == b.prompt or a.settings.trial or b.settings.trial or b.prompt is None:
        return
    label = b.prompt.split()[0]
    if label != shelving.force(load_settings()).label(name_of(label)):
        print(f"Put it in force: answerdeck prompts promote {label}")


def _show(end: Ended) -> None:
    outcome = end.outcome
    metric_table(end.metrics, f"{outcome.evalset} · {outcome.variant}")
    print(f"\nrun {outcome.run_id} · {outcome.seconds or 0:.1f} s · {cost(outcome.cost_usd)}")
    if outcome.load is not None:
        print(outcome.load)
    if outcome.calls_from_cache:
        print(f"{outcome.calls_from_cache} of {outcome.calls} model calls came from the cache, free")
    for warning in outcome.warnings:
        print(f"note: {warning}")
