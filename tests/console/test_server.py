"""The server's process: what its start made is looked through once."""

from __future__ import annotations

import gc
import threading
from typing import cast

import pytest
from typer.testing import CliRunner

from console import server
from console.cli import app
from pipeline.turn import Pipeline


async def test_what_the_start_made_is_left_out_of_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    async def prepare(pipeline: Pipeline) -> None:
        steps.append("prepare")

    monkeypatch.setattr("pipeline.build.prepare", prepare)
    monkeypatch.setattr(gc, "freeze", lambda: steps.append("freeze"))
    await server.settled(cast("Pipeline", None))
    assert steps == ["prepare", "freeze"]


def test_engines_elsewhere_that_cannot_be_used_are_named_while_it_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def started(*_: object, **__: object) -> None:
        for thread in threading.enumerate():
            if thread.name == "troubles":
                thread.join()

    monkeypatch.setattr("console.commands.serve.run", started)
    monkeypatch.setenv("ANSWERDECK_LEDGER", "postgresql://ada:s3cret@127.0.0.1:1/turns")
    monkeypatch.setenv("ANSWERDECK_SESSIONS", "redis://:s3cret@127.0.0.1:1/0")
    result = CliRunner().invoke(app, ["serve", "--no-chat"])
    ledger, sessions = result.stderr.splitlines()
    assert ledger.startswith("ledger: postgresql://127.0.0.1:1/turns cannot be reached")
    assert sessions.startswith("sessions: redis://127.0.0.1:1/0 cannot be used")
    assert "s3cret" not in result.stderr and result.exit_code == 0
