"""How long starting takes and how much memory everything holds together."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from console.bench.figures import Figure, Goal
from console.bench.processes import environment, family, free_port, resident_bytes, running, wait_for
from console.launch import HEALTH

IDLE_SECONDS = 8


def measure(folder: Path, *, quick: bool, progress: Callable[[str], None]) -> list[Figure]:
    """Start everything twice on one data folder; time the second start and weigh it after one turn."""
    progress("start: first start, loads the sample")
    _up(folder)
    starts: list[float] = []
    memory: list[Figure] = []
    for _ in range(1 if quick else 3):
        progress("start: second start")
        seconds, memory = _up(folder)
        starts.append(seconds)
    start = Figure("start", "`up` on existing data", "s", tuple(starts), (), Goal(15, "value"))
    return [_help(3 if quick else 5), start, *memory]


def _help(times: int) -> Figure:
    costs: list[float] = []
    for number in range(times + 1):
        process = subprocess.Popen(
            [sys.executable, "-m", "console.cli", "--help"], env=environment(), stdout=subprocess.DEVNULL
        )
        used = os.wait4(process.pid, 0)[2]
        process.returncode = 0
        if number:  # the first may have compiled the sources
            costs.append(used.ru_utime + used.ru_stime)
    return Figure("start", "`answerdeck --help`", "s CPU", tuple(costs), (), Goal(0.5, "value"))


def _up(folder: Path) -> tuple[float, list[Figure]]:
    port, console_port, log = free_port(), free_port(), folder / "up.log"
    up = ["-m", "console.cli", "up", "--port", str(port), "--console-port", str(console_port)]
    began = time.perf_counter()
    with running(up, log, {"ANSWERDECK_DATA_DIR": str(folder / "data")}) as process:
        for url in (f"http://127.0.0.1:{port}/readyz", f"http://127.0.0.1:{port}/"):
            wait_for(url, process, log)
        wait_for(f"http://127.0.0.1:{console_port}{HEALTH}", process, log)
        seconds = time.perf_counter() - began
        _ask(port)
        asyncio.run(_open(console_port))
        time.sleep(IDLE_SECONDS)
        return seconds, _memory(process.pid)


def _ask(port: int) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/chat",
        json.dumps({"question": "How do I set a fallback model?"}).encode(),
        {"Content-Type": "application/json", "Accept": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        reply.read()


async def _open(port: int) -> None:
    """Open the console's first page as a browser does, and wait until its script has run."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.asyncio.client import connect

    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    async with asyncio.timeout(60), connect(address, max_size=None) as socket:
        message = BackMsg()
        message.rerun_script.query_string = ""
        await socket.send(message.SerializeToString())
        while True:
            received = ForwardMsg()
            received.ParseFromString(bytes(await socket.recv(decode=False)))
            if received.WhichOneof("type") == "script_finished":
                return


def _memory(pid: int) -> list[Figure]:
    sizes = {process: resident_bytes(process) / 1e9 for process in family(pid)}
    names = {process: _name(process, pid) for process in sizes}
    parts = [
        Figure("memory", names[process], "GB", (size,)) for process, size in sizes.items() if size > 0.001
    ]
    whole = Figure("memory", "all, idle after one turn", "GB", (sum(sizes.values()),), (), Goal(1.0, "value"))
    return [*parts, whole]


def _name(pid: int, supervisor: int) -> str:
    if pid == supervisor:
        return "supervisor and drainer"
    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return "console" if "streamlit" in command else "chat and API" if " serve" in command else command[:30]
