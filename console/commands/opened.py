"""What commands open: the ledger with all of the journal in it, and a pipeline for a variant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from console.commands.reading import configured
from console.commands.screen import wrong
from evalsets.runs.runner import Variant
from pipeline import build, shelving
from pipeline.configuration.sections import check_model
from pipeline.errors import ConfigurationError
from pipeline.prompts.library import PromptError
from pipeline.settings import Settings, load_settings
from pipeline.sibling import close_sibling, sibling
from pipeline.turn import Pipeline
from traces.ledger import Ledger
from traces.store import Store

Searches = dict[str | None, tuple[Pipeline, Settings]]  # by what is tried: "passages=8", None as configured
PATIENCE_SECONDS = 60.0  # two runs on a loaded machine keep the ledger from each other for seconds


def drained() -> AbstractContextManager[Ledger]:
    """Open the ledger, all of the journal moved in: a run just finished is many lines."""
    settings = load_settings()
    shelving.check(settings)
    store = waiting(build.store(settings))
    store.drain()
    return store.read(workspace=configured(settings))


def waiting(store: Store) -> Store:
    """Return the store, from now on as patient as a command that would lose its work."""
    store.patience = PATIENCE_SECONDS
    return store


def primary_of(variants: Sequence[Variant]) -> str | None:
    """Return the first model of them that is not embedded, else the first; None when none is named."""
    models = [variant.model for variant in variants if variant.model]
    return next((model for model in models if model != "extractive"), next(iter(models), None))


def settings_of(text: str | None) -> dict[str, str]:
    """Return the retrieval settings of "passages=8,floor=0.2"; ends the command when one cannot be."""
    values: dict[str, str] = {}
    for part in filter(None, map(str.strip, (text or "").split(","))):
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not value:
            raise wrong(f"--retrieval {part!r} is no KEY=VALUE, e.g. passages=8")
        values[key] = value
    if values:
        try:
            load_settings(retrieval=values)
        except ConfigurationError as error:
            raise wrong(f"--retrieval: {error}") from None
    return values


@asynccontextmanager
async def searching(
    variants: Sequence[Variant], retrieval: Mapping[str, Any] | None = None
) -> AsyncIterator[Searches]:
    """Open the pipeline of each retrieval setting that is tried; they share all but their search.

    The one of None searches as configured, changed by `retrieval` as all of them are. Ends the command
    when one cannot be.
    """
    async with AsyncExitStack() as stack:
        pipeline = pipeline_for(variants, retrieval)
        stack.push_async_callback(pipeline.close)
        configured = load_settings(**({"retrieval": retrieval} if retrieval else {}))
        searches: Searches = {None: (pipeline, configured)}
        for text in tried(variants):
            if text is not None:
                searches[text] = _beside(pipeline, {**(retrieval or {}), **settings_of(text)})
                stack.push_async_callback(close_sibling, searches[text][0])
        yield searches


def tried(variants: Sequence[Variant]) -> list[str | None]:
    """Return the different retrieval settings of variants; None is as configured."""
    return list(dict.fromkeys(variant.retrieval for variant in variants))


def _beside(pipeline: Pipeline, search: Mapping[str, Any]) -> tuple[Pipeline, Settings]:
    try:
        settings = load_settings(models={"primary": pipeline.rules.model}, retrieval=search)
        return sibling(pipeline, settings), settings
    except ConfigurationError as error:
        raise wrong(f"--retrieval: {error}") from None


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
        settings = load_settings(**changed, **({"retrieval": retrieval} if retrieval else {}))
        pipeline = build.build(settings)
        waiting(pipeline.store)
        for prompt in {variant.prompt for variant in variants if variant.prompt}:
            pipeline.prompts.get_of("answer", prompt)
    except (ValueError, PromptError) as error:
        raise wrong(str(error)) from None
    return pipeline
