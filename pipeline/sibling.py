"""A pipeline that searches otherwise than another, and shares all the rest with it."""

from __future__ import annotations

from typing import cast

from pipeline.build import build
from pipeline.settings import Settings
from pipeline.steps.parts import GivenParts
from pipeline.turn import Pipeline

SHARED = (
    "prompts", "force", "quota", "admission", "budget", "trials", "inbound", "planted", "memory",
    "condenser", "gateway", "outbound", "journal", "knowledge", "store", "workspaces",
)  # fmt: skip


def sibling(pipeline: Pipeline, settings: Settings) -> Pipeline:
    """Return a pipeline that searches as these settings say; `close_sibling` closes it, before the other.

    Raises ConfigurationError naming what is wrong.
    """
    parts = cast("GivenParts", {name: getattr(pipeline, name) for name in SHARED})
    parts["breakers"] = pipeline.registry
    if pipeline.spaces is not None:
        parts["spaces"] = pipeline.spaces
    return build(settings, **parts)


async def close_sibling(pipeline: Pipeline) -> None:
    """Close what a pipeline does not share with the one it was made from."""
    if pipeline.keeping is not None:
        pipeline.keeping.close()
    pipeline.backlog.close()
    await pipeline.retriever.close()
