"""Programs of others that talk to ours, installed into environments of their own for a slow test."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.console.test_supervisor import wait_for

UV = Path(sys.executable).parent / "uv"


def installed(folder: Path, release: str, without: str = "") -> Path:
    """Install a release into `folder`, without the named dependencies; return the folder of its programs."""
    left_out = folder / "left-out.txt"
    left_out.write_text("".join(f"{name}; sys_platform == 'never'\n" for name in without.split()))
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    command = [UV, "pip", "install", "-q", "--python", venv / "bin/python", "--override", left_out, release]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{release} cannot be installed here: {done.stderr.strip()[-300:]}")
    return venv / "bin"


@contextmanager
def running(
    command: Sequence[str | Path], environment: Mapping[str, str], folder: Path, health: str
) -> Iterator[None]:
    """Run a server in `folder` until it is no longer needed; it is ready when `health` answers 200."""

    def ready() -> bool:
        with suppress(OSError), urllib.request.urlopen(health, timeout=5) as reply:
            return reply.status == 200
        return False

    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=dict(environment), cwd=folder, stdout=log, stderr=log)
    try:
        wait_for(ready, 180)
        yield
    finally:
        process.terminate()
        process.wait(30)
