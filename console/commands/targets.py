"""The part of `answerdeck eval run` that asks another chatbot instead of this one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from console.commands.consent import agree
from console.commands.progress import bars, counting
from console.commands.screen import emit, wrong
from evalsets.cases.evalset import Evalset
from evalsets.runs import template
from evalsets.runs.estimate import Estimate
from evalsets.runs.outcome import Outcome
from evalsets.runs.runner import Plan, Variant, VariantSide, run_together
from evalsets.runs.target import Target
from evalsets.runs.template import Template
from pipeline import build
from pipeline.errors import ConfigurationError
from pipeline.settings import load_settings

OWN = "asks another chatbot, which is all that is known of it; leave out"


def template_of(
    url: str | None, file: Path | None, model: str | None, *, own: Mapping[str, Any]
) -> Template | None:
    """Return how the target is asked, None without one; ends the command when the options do not fit.

    `own` are the options, by their names, that only our own pipeline has.
    """
    if url is None and file is None:
        if model is not None:
            raise wrong("--target-model needs --target URL or --template FILE")
        return None
    if given := [name for name, value in own.items() if value]:
        raise wrong(f"--target or --template {OWN} {', '.join(given)}")
    key = _key()
    try:
        if file is not None:
            form = template.read(file, url)
        else:
            form = template.openai(str(url), model=model, key=bool(key))
    except ConfigurationError as error:
        raise wrong(str(error)) from None
    if not key and template.uses(form, "key"):
        raise wrong(f"{file}: has a place for the key; export {template.KEY}=...")
    if file is not None and bool(model) != template.uses(form, "model"):
        raise wrong(f"{file}: --target-model and a {{{{model}}}} in the template go together")
    return form


def _key() -> str:
    key = os.environ.get(template.KEY, "")
    if key != key.strip() or not key.isascii() or not key.isprintable():
        raise wrong(f"{template.KEY}: has blanks, a line break or odd characters; export it again without")
    return key


def expect_target(
    cases: Evalset,
    form: Template,
    plan: Plan,
    model: str | None,
    *,
    judging: Mapping[str, Estimate],
    json: bool,
) -> None:
    """Say how often the target would be asked, and what judging it takes, and ask nothing."""
    text, name = _expected(cases, form, plan), _target(form, model).name
    calls = len(cases.some(plan.limit, plan.seed).cases) * plan.repetitions
    rows = [{"variant": name, "calls": calls, "usd": None, "text": text}]
    rows += [{"variant": label, **asdict(row), "text": str(row)} for label, row in judging.items()]
    if json:
        emit({"estimates": rows})
        return
    for row in rows:
        print(f"{row['variant']}: {row['text']}")


async def ask_target(
    cases: Evalset, form: Template, plan: Plan, model: str | None, *, yes: bool, quiet: bool
) -> list[Outcome]:
    """Run the cases through the target; return what came of it. Ends the command without consent."""
    target = _target(form, model)
    cases = replace(cases, warnings=(*cases.warnings, _blind(form)))
    agree(f"{target.name}: {_expected(cases, form, plan)}", 0.0 if form.here else None, yes=yes)
    try:
        with bars(quiet) as step:
            await target.warm()
            sides = [VariantSide(Variant(model=target.name))]
            return await run_together(cases, sides, target, plan, progress=counting(step("Asking")))
    finally:
        await target.close()


def _blind(form: Template) -> str:
    """Name the metrics that cannot be known of a target."""
    lost = ["its cost", "its first token"]
    if form.reply.passages is None:
        lost.append("retrieval, citations and groundedness (it shows no passages)")
    if not form.reply.refuses:
        lost.append("refusals (no template says in which words they come)")
    return f"not applicable to this target: {', '.join(lost)}"


def _expected(cases: Evalset, form: Template, plan: Plan) -> str:
    calls = len(cases.some(plan.limit, plan.seed).cases) * plan.repetitions
    return f"{calls:,} questions to {form.host}; what they cost there is not known"


def _target(form: Template, model: str | None) -> Target:
    settings = load_settings()
    store = build.store(settings)
    return Target(form, build.journal(settings), store, model=model, key=_key(), workspace=settings.workspace)
