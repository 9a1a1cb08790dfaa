"""SIGTERM while answers stream: all end with a marker, the traces are there, the exit code is 0."""

import http.client
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.rehearsal.server import FaultServer
from tests.console.test_supervisor import free_port, wait_for
from traces.store import Store

ROOT = Path(__file__).parents[2]


def post(port: int) -> tuple[int, str | None, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = json.dumps({"question": "How do I start Answerdeck?"})
    with closing(connection):
        connection.request("POST", "/api/chat", body, {"Content-Type": "application/json"})
        with connection.getresponse() as reply:
            return reply.status, reply.getheader("Retry-After"), reply.read().decode()


@pytest.mark.parametrize(
    ("streams", "grace"), [(8, 6.0), pytest.param(50, 20.0, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_all_streams_end_with_a_marker(tmp_path: Path, streams: int, grace: float) -> None:
    data, port = tmp_path / "data", free_port()
    with FaultServer("ok?words=2000&rate=20") as models:
        env = {
            **os.environ,
            "ANSWERDECK_DATA_DIR": str(data),
            "ANSWERDECK_MODELS__PRIMARY": "openai:stub",
            "ANSWERDECK_MODELS__OPENAI__BASE_URL": models.openai_url,
            "ANSWERDECK_LIMITS__REQUESTS_PER_MINUTE": "1000",
            "ANSWERDECK_LIMITS__STOP_SECONDS": str(grace),
            "OPENAI_API_KEY": "test",
        }
        server = subprocess.Popen(
            [sys.executable, "-m", "console.cli", "serve", "--no-chat", "--port", str(port)],
            env=env,
            cwd=ROOT,
        )
        try:
            wait_for(lambda: ready(port))
            ends: list[str] = []
            readers = [threading.Thread(target=lambda: ends.append(post(port)[2])) for _ in range(streams)]
            for reader in readers:
                reader.start()
            wait_for(lambda: len([one for one in models.requests if one.sent > 1000]) == streams)
            server.send_signal(signal.SIGTERM)
            wait_for(lambda: not ready(port))
            assert post(port)[:2] == (503, "10")
            assert server.wait(60) == 0  # long before the 100 seconds that the answers take
            for reader in readers:
                reader.join(60)
        finally:
            server.kill()
            server.wait()
    assert len(ends) == streams
    done = [json.loads(end.split("event: done\ndata: ")[1].split("\n")[0]) for end in ends]
    assert {(one["outcome"], one["notice"]) for one in done} == {
        ("cut", "The server is being restarted. Please ask again in a moment.")
    }
    assert all(len(one["answer"]) > 20 for one in done)
    store = Store(data)
    store.drain()
    with store.read() as ledger:
        rows = ledger.rows("select turn_id, outcome from turns")
    assert {row["turn_id"] for row in rows} == {one["turn_id"] for one in done}
    assert {row["outcome"] for row in rows} == {"cut"}


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.mark.parametrize(
    ("number", "background"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGTERM, True)]
)
def test_a_stopped_command_ends_its_work_first(number: signal.Signals, background: bool) -> None:
    code = """
        import asyncio, signal, sys
        from console.commands.screen import guarded
        ignored = sys.argv[2] == "True"  # whatever these tests inherited
        signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
        async def work():
            try:
                asyncio.get_running_loop().call_later(.05, signal.raise_signal, int(sys.argv[1]))
                await asyncio.sleep(20)
            except asyncio.CancelledError:
                print("ended what was begun")
                raise
        def run():
            try: asyncio.run(work())
            except KeyboardInterrupt: sys.exit(1)
        guarded(run)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(int(number)), str(background)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "ended what was begun\n"), done.stderr
