"""What commands open: the ledger with all of the journal in it, and a pipeline for a variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from console.commands.screen import wrong
from evalsets.runs.runner import Variant
from pipeline import build
from pipeline.prompts.library import PromptError
from pipeline.sections import check_model
from pipeline.settings import load
from pipeline.turn import Pipeline
from traces.ledger import Ledger
from traces.store import Store

PATIENCE_SECONDS = 60.0  # two runs on a loaded machine keep the ledger from each other for seconds


def drained() -> AbstractContextManager[Ledger]:
    """Open the ledger, all of the journal moved in: a run just finished is many lines."""
    store = waiting(build.store(load()))
    store.drain()
    return store.read()


def waiting(store: Store) -> Store:
    """Return the store, from now on as patient as a command that would lose its work."""
    store.patience = PATIENCE_SECONDS
    return store


def primary_of(variants: Sequence[Variant]) -> str | None:
    """Return the first model of them that is not embedded, else the first; None when none is named."""
    models = [variant.model for variant in variants if variant.model]
    return next((model for model in models if model != "extractive"), next(iter(models), None))


def pipeline_for(variants: Sequence[Variant], retrieval: Mapping[str, Any] | None = None) -> Pipeline:
    """Return a pipeline that can answer as each of the variants, with these retrieval settings if given.

    Its own model is the first that is not embedded: embedded ones ask nobody to rewrite a follow-up.
    """
    try:
        models = list(dict.fromkeys(variant.model for variant in variants if variant.model))
        for model in models:
            check_model(model)
        primary = primary_of(variants)
        changed: dict[str, Any] = {"models": {"primary": primary}} if primary else {}
        settings = load(**changed, **({"retrieval": retrieval} if retrieval else {}))
        pipeline = build.build(settings)
        waiting(pipeline.store)
        for prompt in {variant.prompt for variant in variants if variant.prompt}:
            pipeline.prompts.get_of("answer", prompt)
    except (ValueError, PromptError) as error:
        raise wrong(str(error)) from None
    return pipeline
