"""`answerdeck up` as a whole: starts, answers, survives a crash of a part, stops cleanly."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console import supervisor
from pipeline.settings import load_settings
from tests.console.terminal import Terminal, terminal
from traces.store import Store

__all__ = ["terminal"]

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_alerts_are_judged_while_nobody_is_told_too() -> None:
    """Only how often differs: a target of another kind than a webhook is somebody."""
    assert supervisor.alert_seconds(load_settings()) == 300
    for somebody in ({"webhooks": ["http://127.0.0.1:9/x"]}, {"targets": ["json://127.0.0.1:9/x"]}):
        assert supervisor.alert_seconds(load_settings(alerts=somebody)) == 60


def wait_for(condition: Any, seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"did not happen within {seconds} s")


def children(pid: int) -> dict[str, int]:
    """Return the processes the supervisor runs, by what they are."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    names = {}
    for child in listed:
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            part = "chat" if "console.cli serve" in line else "console" if "streamlit" in line else None
            if part is not None:  # else a job aside, such as `eval changed`
                names[part] = int(child)
    return names


def ask(port: int, question: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/chat",
        json.dumps({"question": question}).encode(),
        {"Content-Type": "application/json", "Accept": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.loads(reply.read())


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], int, int, Path]]:
    folder = tmp_path_factory.mktemp("up")
    port, console_port = free_port(), free_port()
    log = (folder / "log").open("w+")  # the network is closed; attempts are noted in folder/attempts
    process = subprocess.Popen(
        [sys.executable, "-m", "console.cli", "up", f"--port={port}", f"--console-port={console_port}"],
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={
            **os.environ,
            "ANSWERDECK_DATA_DIR": str(folder / "data"),
            "PYTHONPATH": str(ROOT / "tests" / "closed"),
            "CLOSED_NETWORK_LOG": str(folder / "attempts"),
        },
        start_new_session=True,
    )
    try:
        wait_for(lambda: "Ctrl-C stops everything" in (folder / "log").read_text() or process.poll())
        assert process.poll() is None, (folder / "log").read_text()
        yield process, port, console_port, folder
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        log.close()


@pytest.mark.timeout(180)
def test_up_answers_on_both_addresses_and_records_the_turn(up: Any) -> None:
    process, port, console_port, folder = up
    shown = (folder / "log").read_text()
    assert f"http://127.0.0.1:{port}" in shown
    assert f"http://127.0.0.1:{console_port}" in shown
    with urllib.request.urlopen(f"http://127.0.0.1:{console_port}/", timeout=60) as page:
        assert b"streamlit" in page.read().lower()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as page:
        assert b"Answerdeck" in page.read()
    answer = ask(port, "How do I back up my data?")
    assert answer["outcome"] == "answered"
    assert answer["citations"][0]["document_id"].startswith("backup-and-restore")
    assert process.poll() is None

    wait_for((folder / "data" / "traces.duckdb").exists)
    store = Store(folder / "data")
    store.patience = 30.0  # the server drains beside us
    with store.read() as ledger:
        rows = ledger.rows("select outcome from turns where turn_id = $turn", turn=answer["turn_id"])
    assert rows == [{"outcome": "answered"}]


@pytest.mark.timeout(180)
def test_a_part_that_is_killed_is_started_again(up: Any) -> None:
    process, port, _, _ = up
    killed = children(process.pid)["chat"]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: children(process.pid).get("chat") not in (None, killed))

    def answers() -> bool:
        try:
            return ask(port, "How do I turn on slow keys?")["outcome"] == "answered"
        except (OSError, ValueError):
            return False

    wait_for(answers)


@pytest.mark.timeout(180)
def test_ctrl_c_stops_everything(up: Any) -> None:
    process, _, _, folder = up
    running = children(process.pid)
    assert set(running) == {"chat", "console"}
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    for pid in running.values():
        assert not Path(f"/proc/{pid}").exists()
    shown = (folder / "log").read_text()
    assert shown.rstrip().endswith("Stopped.")
    attempts = folder / "attempts"
    assert not attempts.exists(), f"something tried to leave the machine: {attempts.read_text()}"
    assert "Traceback" not in shown


def test_a_taken_port_is_told_before_anything_starts(terminal: Terminal) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, shown, error = terminal("up", f"--port={port}", f"--console-port={free_port()}")
    assert code == 2
    assert f"cannot bind 127.0.0.1:{port}" in error
    assert "Starting" not in shown
