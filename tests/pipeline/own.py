"""People's own documents in a test: read in this process, by the embedder of the pipeline."""

from __future__ import annotations

from functools import partial
from typing import Any

from pipeline import build
from pipeline.own_documents.intake import bring
from pipeline.own_documents.private import private
from pipeline.own_documents.spaces import Bounds, Spaces
from pipeline.settings import load_settings
from pipeline.steps.parts import GivenParts


def own(bounds: Bounds = Bounds(1_000_000, 3, 20, 90), **settings: Any) -> GivenParts:
    """Return the parts of a pipeline whose people may bring documents."""
    configured = load_settings(**settings)
    memory = build.memory(configured)
    knowledge = private(configured)
    spaces = Spaces(memory, knowledge, bounds, partial(bring, knowledge=knowledge))
    return {"memory": memory, "spaces": spaces}
