"""A real pipeline on a few documents, with a scripted model in the provider's place."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import build
from pipeline.events import Answer, Delta, Event, Failed, Question
from pipeline.extractive.extractive import Extractive
from pipeline.knowledge.documents import Document
from pipeline.knowledge.ingest import store
from pipeline.models.gateway import Gateway
from pipeline.models.model import Model
from pipeline.models.prices import Prices
from pipeline.settings import load_settings
from pipeline.steps import guards
from pipeline.steps.parts import GivenParts
from pipeline.turn import Pipeline
from traces.queries.turns import trace
from traces.records import Trace

DOCUMENTS = (
    Document(
        "bounce-keys",
        "Turn on bounce keys",
        "Turn on bounce keys to skip a key that is pressed again too soon. Open Settings and click"
        " Accessibility. Set the Bounce Keys switch to on.",
        "https://example.com/bounce-keys",
    ),
    Document(
        "lid",
        "Close the lid",
        "When you close the lid of your laptop, the laptop goes to sleep to save power."
        " Open the lid to wake it again.",
        "https://example.com/lid",
    ),
    Document(
        "wifi",
        "Connect to a hidden wireless network",
        "Choose Hidden Network in the network menu. Enter the name of the network and the"
        " password, then press Connect.",
        "https://example.com/wifi",
    ),
)


APART = {
    "limits",
    "memory",
    "data_dir",
    "prompts",
    "traces",
    "guardrails",
}  # settings that leave the documents as they are
# documents, knowledge base and embedder -> the documents as they are stored
_shelved: dict[tuple[tuple[Document, ...], str, str], Path] = {}


async def make_pipeline(
    *models: Model,
    documents: Sequence[Document] = DOCUMENTS,
    rules: dict[str, Any] | None = None,
    parts: GivenParts | None = None,
    **settings: Any,
) -> Pipeline:
    """Build as production does with `models` where the providers are; none means extractive."""
    configured = load_settings(**settings)
    given: GivenParts = {**(parts or {}), "rules": replace(guards.rules(configured), **(rules or {}))}
    if models:
        given["gateway"] = Gateway(models, Extractive(), prices=Prices())
    pipeline = build.build(configured, **given)
    if documents and isinstance(documents, tuple) and not parts and settings.keys() <= APART:
        await _shelve(documents, pipeline)
    elif documents:
        await store(documents, pipeline.rules.kb, pipeline.knowledge)
    return pipeline


async def _shelve(documents: tuple[Document, ...], pipeline: Pipeline) -> None:
    """Store documents; those of many tests are embedded and written once a process, and then copied."""
    kb, knowledge = pipeline.rules.kb, pipeline.knowledge
    key = documents, kb, knowledge.embedder.fingerprint
    configured = {name for name in os.environ if name.startswith("ANSWERDECK_")} - {"ANSWERDECK_DATA_DIR"}
    if knowledge.exists(kb) or configured:
        await store(documents, kb, knowledge)
    elif key in _shelved:
        shutil.copytree(_shelved[key], knowledge.folder, dirs_exist_ok=True)
    else:
        await store(documents, kb, knowledge)
        _shelved[key] = Path(tempfile.mkdtemp(prefix="shelved"))
        atexit.register(shutil.rmtree, _shelved[key], ignore_errors=True)
        shutil.copytree(knowledge.folder, _shelved[key], dirs_exist_ok=True)


async def ask(pipeline: Pipeline, text: str, **fields: Any) -> tuple[Answer | Failed, list[Event]]:
    events = [event async for event in pipeline.answer(Question(text, **fields))]
    last = events[-1]
    assert isinstance(last, Answer | Failed)
    return last, events


def said(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta)).strip()


def recorded(pipeline: Pipeline, turn_id: str) -> Trace:
    with pipeline.store.read() as ledger:
        found = trace(ledger, turn_id)
    assert found is not None, f"turn {turn_id} is not in the ledger"
    return found
