"""Processes under measurement: start them, read their CPU time and memory, stop them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import AnswerdeckError

TICKS = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 30


class BenchError(AnswerdeckError):
    """Something under measurement did not do what it should; its figures would mean nothing."""


@contextmanager
def running(
    arguments: Sequence[str], log: Path, env: Mapping[str, str] | None = None, *, pipes: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """Run `python …` with these arguments; stop it at the end. Its stderr goes to `log`."""
    channel = subprocess.PIPE if pipes else subprocess.DEVNULL
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=environment(env),
            stdin=channel,
            stdout=channel,
            stderr=errors,
            text=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return our environment without its settings, so that every run measures the same."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERDECK_")}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**variables, "OPENBLAS_NUM_THREADS": "1", **(more or {})}


def wait_for(url: str, process: subprocess.Popen[str], log: Path, seconds: float = 180) -> float:
    """Wait until the address answers 200; return how long it took."""
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        if process.poll() is not None:
            raise BenchError(f"the process ended with code {process.returncode}: {_tail(log)}")
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                if reply.status == 200:
                    return time.perf_counter() - began
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)
    raise BenchError(f"{url} did not answer within {seconds:g} s: {_tail(log)}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid: int) -> float:
    """Return the CPU time a process has used with all its threads, in steps of a clock tick."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory; pages shared with others count in full."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def family(pid: int) -> list[int]:
    """Return the process and all its descendants."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it ended while we looked
    pids = [pid]
    for candidate in pids:
        pids += [child for child, parent in parents.items() if parent == candidate]
    return pids


def _tail(log: Path) -> str:
    lines = log.read_text().strip().splitlines()
    return lines[-1] if lines else "it said nothing"
