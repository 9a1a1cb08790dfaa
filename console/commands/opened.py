"""What commands open: the ledger with all of the journal in it, and a pipeline for a variant."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from console.commands.screen import wrong
from evalsets.runs.runner import Variant
from pipeline import build
from pipeline.prompts.library import PromptError
from pipeline.settings import check_model, load
from pipeline.turn import Pipeline
from traces.ledger import Ledger


def drained() -> AbstractContextManager[Ledger]:
    """Open the ledger, all of the journal moved in: a run just finished is many lines."""
    store = build.store(load())
    store.drain()
    return store.read()


def pipeline_for(variant: Variant, retrieval: Mapping[str, Any] | None = None) -> Pipeline:
    """Return a pipeline that answers as the variant does, with these retrieval settings if given."""
    try:
        if variant.model is not None:
            check_model(variant.model)
        changed: dict[str, Any] = {"models": {"primary": variant.model}} if variant.model else {}
        settings = load(**changed, **({"retrieval": retrieval} if retrieval else {}))
        pipeline = build.build(settings)
        if variant.prompt is not None:
            pipeline.prompts.get_of("answer", variant.prompt)
    except (ValueError, PromptError) as error:
        raise wrong(str(error)) from None
    return pipeline
