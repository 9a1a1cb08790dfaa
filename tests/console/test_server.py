"""The server's process: what its start made is looked through once."""

from __future__ import annotations

import gc
from typing import cast

import pytest

from console import server
from pipeline.turn import Pipeline


async def test_what_the_start_made_is_left_out_of_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    async def prepare(pipeline: Pipeline) -> None:
        steps.append("prepare")

    monkeypatch.setattr("pipeline.build.prepare", prepare)
    monkeypatch.setattr(gc, "freeze", lambda: steps.append("freeze"))
    await server.settled(cast("Pipeline", None))
    assert steps == ["prepare", "freeze"]
