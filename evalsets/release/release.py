"""Promotes a prompt version when its evalsets passed, and goes back from it; all of it is audited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, repeat
from typing import TYPE_CHECKING, Any

from evalsets.cases import corpora
from evalsets.cases.cases import load_evalset
from evalsets.cases.evalset import Evalset
from evalsets.release import gate, in_force
from evalsets.release.gate import GateLimits
from evalsets.release.in_force import Facts
from evalsets.release.verdict import Evidence
from evalsets.reports.compare import APART, untimed
from evalsets.runs import runner
from evalsets.runs.runner import Progress, Variant, VariantSide
from evalsets.runs.warm import warm
from pipeline.errors import AnswerdeckError
from pipeline.prompts.force import Change, Force
from pipeline.prompts.library import Library, name_of
from traces.queries import runs
from traces.records import RunSettings

if TYPE_CHECKING:
    from pipeline.turn import Pipeline

Step = Callable[[str], Progress]  # begins the progress of one run


@dataclass(frozen=True, slots=True)
class MissingRun:
    """A run that the gate needs and the ledger lacks: an evalset on a version of a prompt."""

    evalset: Evalset
    version: str
    kb: str | None
    facts: Facts


Agree = Callable[[Sequence[MissingRun]], Awaitable[None]]  # raises when the runs are not consented to


class NothingBefore(AnswerdeckError):
    """There is no version to go back to."""


class NotPromoted(AnswerdeckError):
    """The gate did not let a version pass; `reasons` says why, a sentence each."""

    def __init__(self, label: str, reasons: list[str]) -> None:
        super().__init__("\n  - ".join([f"{label} is not promoted:", *reasons]))
        self.reasons = reasons


async def evidence(
    pipeline: Pipeline, label: str, evalsets: Sequence[str], limits: GateLimits = GateLimits()
) -> list[Evidence]:
    """Return what is known of a version on each evalset, against the version in force.

    Raises EvalsetError and PromptError.
    """
    return [await _evidence(pipeline, label, load_evalset(name), limits) for name in evalsets]


async def run_missing(
    pipeline: Pipeline,
    label: str,
    evalsets: Sequence[str],
    step: Step,
    *,
    agree: Agree | None = None,
    seed: int = 0,
) -> list[str]:
    """Run what the gate needs and the ledger lacks, baseline and candidate side by side.

    `agree` is asked before any of them begins. Returns the ids of the runs, of each evalset the
    baseline's first.
    """
    missing = await missing_runs(pipeline, label, evalsets)
    if agree is not None:
        await agree(missing)
    finished: list[str] = []
    for name, group in groupby(missing, lambda run: run.evalset.name):
        side_by_side = list(group)
        title = f"{name}: {' and '.join(run.version for run in side_by_side)}"
        finished += await _run(pipeline, side_by_side, step(title), seed)
    return finished


async def missing_runs(pipeline: Pipeline, label: str, evalsets: Sequence[str]) -> list[MissingRun]:
    """Return the runs that the gate needs of a version and the one in force, and the ledger lacks.

    Runs that were not made side by side are made again: their times cannot be compared.
    """
    missing: list[MissingRun] = []
    name = name_of(label)
    for evalset in map(load_evalset, evalsets):
        versions = tuple(dict.fromkeys((pipeline.force.label(name), label)))
        kb = await corpora.prepare(evalset, pipeline.knowledge)
        facts = [await in_force.read(pipeline, kb, **{name: version}) for version in versions]
        pipeline.store.drain()
        with pipeline.store.read() as ledger:
            runs = in_force.together(ledger, evalset, facts, condense=name == "condense")
        speaking = [run for run in runs if run is not None]
        if len(speaking) < len(versions) or any(
            untimed(speaking[0], other) == APART for other in speaking[1:]
        ):
            missing += [
                MissingRun(evalset, *parts) for parts in zip(versions, repeat(kb), facts, strict=False)
            ]
    return missing


async def run_changed(
    pipeline: Pipeline, evalsets: Sequence[str], step: Step, *, agree: Agree | None = None
) -> list[str]:
    """Run the evalsets again that were run on something else than what answers now; return the run ids.

    An evalset that was never run here is left alone.
    """
    with pipeline.store.read() as ledger:
        ran = {run.evalset for run in runs.runs(ledger) if run.state == "finished"}
    names = [name for name in evalsets if load_evalset(name).name in ran]
    return await run_missing(pipeline, pipeline.force.label("answer"), names, step, agree=agree)


def promote(
    pipeline: Pipeline, label: str, proofs: Sequence[Evidence], *, actor: str, override: str | None = None
) -> Change:
    """Put a version in force; raises NotPromoted with every reason when an evalset did not pass.

    `override` is the reason to do it all the same: the log keeps it and what the gate said. Raises
    Overtaken when another version came into force meanwhile.
    """
    reasons = [reason for proof in proofs for reason in proof.reasons]
    if reasons and not override:
        raise NotPromoted(label, reasons)
    version = pipeline.prompts.get(label)
    pipeline.prompts.release(version)
    return pipeline.force.change(
        label,
        version.fingerprint,
        action="override" if reasons else "promote",
        actor=actor,
        reason=override,
        gate={"evalsets": list(_logged(proofs))},
        expected=proofs[0].baseline if proofs else None,
    )


def rollback(prompts: Library, force: Force, name: str, *, actor: str, reason: str | None = None) -> Change:
    """Go back to the version in force before; raises NothingBefore when there is none."""
    before, now = force.previous(name), force.label(name)
    if before is None:
        raise NothingBefore(f"no version was in force before {now}, so there is none to go back to")
    fingerprint = prompts.get(before).fingerprint
    return force.change(before, fingerprint, action="rollback", actor=actor, reason=reason, expected=now)


async def _evidence(pipeline: Pipeline, label: str, evalset: Evalset, limits: GateLimits) -> Evidence:
    name = name_of(label)
    versions = [label, pipeline.force.label(name)]
    kb = evalset.kb or (corpora.SAMPLE_KB if evalset.sample else None)
    if evalset.corpus is not None:
        kb = await corpora.prepare(evalset, pipeline.knowledge)
    in_question: list[Facts] = [await in_force.read(pipeline, kb, **{name: version}) for version in versions]
    with pipeline.store.read() as ledger:
        candidate, baseline = in_force.together(ledger, evalset, in_question, condense=name == "condense")
        missing = tuple(
            version for version, run in zip(versions, (candidate, baseline), strict=True) if run is None
        )
        reasons = [
            f"needs evalset {evalset.name}: {version} was not run on this fingerprint" for version in missing
        ]
        if name == "condense" and not any(case.history for case in evalset.cases):
            reasons.append(f"no case of {evalset.name} has a history, so it says nothing about condensing")
        verdict = None
        if candidate is not None and baseline is not None:
            ids = candidate.run_id, baseline.run_id
            verdict = gate.check(ledger, in_question[0], *ids, thresholds=evalset.thresholds, limits=limits)
            reasons += [f"{evalset.name}: {reason}" for reason in verdict.reasons]
    return Evidence(evalset.name, versions[1], len(evalset.cases), missing, verdict, tuple(reasons))


async def _run(pipeline: Pipeline, missing: Sequence[MissingRun], progress: Progress, seed: int) -> list[str]:
    """Run one evalset on each of the facts, side by side; return the ids of the runs."""
    sides = [
        VariantSide(Variant(now.prompt, now.model, condense=now.condense_prompt), now.condense)
        for now in (case.facts for case in missing)
    ]
    evalset, kb = missing[0].evalset, missing[0].kb
    await warm(pipeline, kb, evalset.cases[0].question, {run.facts.model for run in missing})
    plan = runner.Plan(seed=seed, settings=RunSettings(contents=missing[0].facts.contents))
    done = await runner.run_together(evalset, sides, pipeline, plan, kb=kb, progress=progress)
    return [run.run_id for run in done]


def _logged(proofs: Sequence[Evidence]) -> Iterator[dict[str, Any]]:
    """Yield what the log keeps of the evidence: which runs, and whether they passed."""
    for proof in proofs:
        ids = (
            (proof.verdict.candidate.run_id, proof.verdict.baseline.run_id) if proof.verdict else (None, None)
        )
        yield {"evalset": proof.evalset, "run": ids[0], "baseline": ids[1], "reasons": list(proof.reasons)}
