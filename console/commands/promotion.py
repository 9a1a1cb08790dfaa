"""`answerdeck prompts check/promote/rollback/history/canary`: what is in force, and how it comes to be."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer

from console.commands.asking import agreeing
from console.commands.consent import Yes
from console.commands.opened import waiting
from console.commands.progress import bars, counting
from console.commands.prompts import Json, Label
from console.commands.screen import emit, failed, table, wrong
from evalsets.cases.evalset import EvalsetError
from evalsets.metrics.table import find_metric
from evalsets.release import onward, release
from evalsets.release.canary import begin_canary, end_canary
from evalsets.release.gate import limits_of
from evalsets.release.release import evidence, run_missing
from evalsets.release.verdict import Evidence
from pipeline import build, shelving
from pipeline.configuration import gated
from pipeline.prompts.force import Change, Force
from pipeline.prompts.library import Library, PromptError, name_of
from pipeline.settings import Settings, load_settings
from pipeline.turn import Pipeline

Name = Annotated[str, typer.Argument(help="The prompt, e.g. answer.")]
Actor = Annotated[str | None, typer.Option(help="Who does it; the user of this machine by default.")]


def check(
    label: Label,
    run_evals: Annotated[
        bool, typer.Option("--run-evals", help="Run the evalsets that are missing.")
    ] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Say whether a version may be promoted: exit 1 with the reasons when not."""
    with _opened() as (pipeline, settings):
        if run_evals:
            _get(pipeline, label)
            _run_missing(pipeline, settings, label, yes=yes, quiet=json)
        proofs = _evidence(pipeline, settings, label)
        in_force = pipeline.force.label(name_of(label))
    if json:
        emit({"prompt": label, "in_force": in_force, "passed": not any(proof.reasons for proof in proofs),
              "evalsets": [proof.to_dict() for proof in proofs]})  # fmt: skip
    else:
        _show(label, in_force, proofs, chosen=_chosen(settings))
        _show_way(label, proofs)
    if any(proof.reasons for proof in proofs):
        raise typer.Exit(1)


def promote(
    label: Label,
    run_evals: Annotated[
        bool, typer.Option("--run-evals", help="Run the evalsets that are missing.")
    ] = False,
    override: Annotated[bool, typer.Option("--override", help="Against the gate; needs --reason.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why the gate is overridden; kept in the log.")] = None,
    actor: Actor = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask: neither before money is spent nor at the end.")
    ] = False,
    json: Json = False,
) -> None:
    """Put a version in force once its evalsets passed on exactly what would answer."""
    if override and not (reason or "").strip():
        raise wrong("--override needs --reason 'why the gate is wrong here'")
    name = name_of(label)
    with _opened() as (pipeline, settings):
        _get(pipeline, label)
        if pipeline.force.label(name) == label and pipeline.force.standing(name).canary is None:
            print(f"{label} is in force already.")
            return
        if run_evals:
            _run_missing(pipeline, settings, label, yes=yes, quiet=json)
        proofs = _evidence(pipeline, settings, label)
        if not json:
            _show(label, pipeline.force.label(name), proofs, chosen=_chosen(settings))
        if not json and not override:
            _show_way(label, proofs)
        if not yes and not any(proof.reasons for proof in proofs):
            _confirm(f"Promote {label}, in place of {pipeline.force.label(name)}?")
        change = release.promote(
            pipeline, label, proofs, actor=actor or _user(), override=reason if override else None
        )
    _tell(change, json, emit)


def rollback(
    name: Name,
    reason: Annotated[str | None, typer.Option(help="Why; kept in the log.")] = None,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Go back to the version that was in force before."""
    prompts, force = _standing()
    _known(force, name)
    change = release.rollback(prompts, force, name, actor=actor or _user(), reason=reason)
    _tell(change, json, emit)


def canary(
    label: Label,
    share: Annotated[int, typer.Option(min=0, max=50, help="Percent of the conversations; 0 ends it.")],
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Answer a share of the conversations with a version; it is taken back when it does worse."""
    prompts, force = _standing()
    name, who = name_of(label), actor or _user()
    _known(force, name)
    try:
        if share and force.label(name) == label:
            raise wrong(f"{label} is in force for everybody already")
        if share:
            change = begin_canary(prompts, force, label, share / 100, actor=who)
        else:
            change = end_canary(prompts, force, name, actor=who)
    except PromptError as error:
        raise wrong(str(error)) from None
    if change is None:
        raise failed(f"{name} has no canary")
    if json:
        emit(asdict(change))
    elif share:
        print(f"{label} answers {share} % of the conversations, {change.before} the others.")
        print("While `answerdeck up` runs it is taken back when it does worse. End it: --share 0")
    else:
        print(f"{change.after} answers all conversations again.")


def history(json: Json = False) -> None:
    """List every promotion, override, canary and rollback, oldest first."""
    changes = _standing()[1].changes()
    if json:
        emit([asdict(change) for change in changes])
        return
    if not changes:
        print("Nothing was promoted yet; the versions of the configuration are in force.")
        return
    columns = ("at", "actor", "action", "before", "after", "fingerprint", "reason")
    table(columns, ([getattr(change, column) for column in columns] for change in changes))


def _run_missing(pipeline: Pipeline, settings: Settings, label: str, *, yes: bool, quiet: bool) -> None:
    agree = agreeing(pipeline, settings, yes=yes)
    with bars(quiet) as step:
        runs = run_missing(
            pipeline, label, settings.gate.evalsets, lambda title: counting(step(title)), agree=agree
        )
        try:
            asyncio.run(runs)
        except KeyboardInterrupt:
            raise failed("stopped; what is finished stays, run the same command again") from None


def _evidence(pipeline: Pipeline, settings: Settings, label: str) -> list[Evidence]:
    _get(pipeline, label)
    limits = limits_of(settings)
    try:
        return asyncio.run(evidence(pipeline, label, settings.gate.evalsets, limits))
    except EvalsetError as error:
        raise wrong(f"gate.evalsets: {error}") from None


def _get(pipeline: Pipeline, label: str) -> None:
    try:
        pipeline.prompts.get(label)
    except PromptError as error:
        raise wrong(str(error)) from None
    _known(pipeline.force, name_of(label))


def _known(force: Force, name: str) -> None:
    if name not in force.names:
        raise wrong(f"no prompt {name!r} is in use; there are {', '.join(force.names)}")


def _chosen(settings: Settings) -> bool:
    """Say whether the team chose the evalsets that decide."""
    return bool(gated.read(settings.own.path))


def _show(label: str, in_force: str, proofs: Sequence[Evidence], *, chosen: bool) -> None:
    """Print a line an evalset, and what the gate looked at where there are runs."""
    for proof in proofs:
        mark = "passed" if not proof.reasons else "not passed"
        print(f"{proof.evalset} ({proof.cases} cases), {label} against {in_force}: {mark}")
        if proof.verdict is not None:
            rows = [
                (check.name, check.state, find_metric(check.name).write(check.baseline),
                 find_metric(check.name).write(check.candidate), check.text)
                for check in proof.verdict.checks
            ]  # fmt: skip
            table(("check", "state", "baseline", "candidate", "what it says"), rows)
        if proof.reasons and not chosen:
            print("  Another evalset is to decide? answerdeck eval gate-set NAME")
        for version in proof.missing:
            print(f"  needs a run of {version} on what answers now (--run-evals makes it)")


def _show_way(label: str, proofs: Sequence[Evidence]) -> None:
    """Print how a version that is held back gets on."""
    override = f"answerdeck prompts promote {label} --override --reason 'why'"
    way = onward.way(
        label, proofs, add="answerdeck eval import FILE --name SET --add",
        override=override, policy="ANSWERDECK_GATE__BLIND=note",
    )  # fmt: skip
    if way is not None:
        print(way)
    elif any(proof.reasons and not proof.missing for proof in proofs):
        print(f"You know better? {override}")


def _tell(change: Change, json: bool, emit: Any) -> None:
    if json:
        emit(asdict(change))
        return
    print(f"{change.after} is in force, in place of {change.before}; the chat uses it with its next turn.")
    if change.action == "rollback":
        print(f"Put it in force again: answerdeck prompts promote {change.before}")
    else:
        print(f"Go back: answerdeck prompts rollback {change.prompt}")


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise wrong("nobody is here to confirm; add --yes")
    if not typer.confirm(question):
        raise typer.Exit(1)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


@contextmanager
def _opened() -> Iterator[tuple[Pipeline, Settings]]:
    """Build the pipeline and close what it holds open."""
    settings = load_settings()
    pipeline = build.build(settings)
    waiting(pipeline.store)
    try:
        yield pipeline, settings
    finally:
        asyncio.run(pipeline.close())


def _standing() -> tuple[Library, Force]:
    """Return the prompts and which are in force, without building a pipeline."""
    settings = load_settings()
    return shelving.library(settings), shelving.force(settings)
