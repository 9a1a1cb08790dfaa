"""What the pipeline's tests share: one fault server a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.rehearsal.server import FaultServer


@pytest.fixture(scope="module")
def served() -> Iterator[FaultServer]:
    """The server of a module."""
    with FaultServer() as server:
        yield server


@pytest.fixture
def server(served: FaultServer) -> FaultServer:
    """The server as if it were new."""
    served.reset()
    return served
