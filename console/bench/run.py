"""Runs the benchmarks one after the other in a folder that is thrown away."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from console.bench.figures import Figure


def run(names: Sequence[str], *, quick: bool) -> list[Figure]:
    """Return the figures of the named benchmarks; says on stderr what it is doing."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: its threads spin
    figures: list[Figure] = []
    for name in names:
        module = import_module(f"console.bench.{'turns' if name == 'turn' else name}")
        with tempfile.TemporaryDirectory(prefix="answerdeck-bench-") as folder:
            figures += module.measure(Path(folder), quick=quick, progress=_say)
    return figures


def about() -> str:
    """Describe machine and moment: figures from elsewhere cannot be compared without."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return f"{now} · {machine} · load {load}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
