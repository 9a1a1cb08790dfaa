"""Files deleted under a running server are noticed, put back and spoken of; no acknowledged turn is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.guardrails.spending import Spending
from tests.factories import make_trace
from traces.journal import Journal
from traces.store import Store

ROOT = Path(__file__).parents[2]


@contextmanager
def server(data: Path) -> Iterator[str]:
    """Run `answerdeck serve --no-chat` in a process of its own, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "console.cli", "serve", "--no-chat", "--port", str(port)]
    env = {**os.environ, "ANSWERDECK_DATA_DIR": str(data)}
    data.mkdir(parents=True, exist_ok=True)
    with (data.parent / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                if fetch(f"{address}/readyz")["ready"]:
                    break
            except OSError:
                time.sleep(0.2)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)


def fetch(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as reply:
        return json.loads(reply.read())


def ask(address: str, conversation: str) -> str:
    body = {"question": "How do I turn on bounce keys?", "conversation_id": conversation}
    return fetch(f"{address}/api/chat", body)["turn_id"]


@pytest.mark.timeout(300)
def test_a_server_goes_on_with_all_files_deleted_under_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with server(data) as address:
        asked = [ask(address, "one") for _ in range(3)]
        Store(data).drain()
        asked.append(ask(address, "one"))  # in the journal, not in the store
        for path in (*data.glob("journal/*.jsonl"), data / "conversations.sqlite", data / "spending.sqlite"):
            path.unlink()
        asked += [ask(address, "one") for _ in range(2)]
        time.sleep(2.1)  # a report of health is good for two seconds
        seen = fetch(f"{address}/readyz")
        (traces,) = [part for part in seen["dependencies"] if part["name"] == "traces"]
        assert traces["state"] == "degraded"
        for name in ("the journal file", "conversations.sqlite was deleted", "spending.sqlite was deleted"):
            assert name in traces["detail"]
        assert len(fetch(f"{address}/api/conversations/one")["turns"]) == 6
    assert (data.parent / "log").read_text().count("under the running server") == 2
    with closing(sqlite3.connect(data / "conversations.sqlite")) as db:
        assert db.execute("select count(*) from exchanges").fetchone() == (6,)
    store = Store(data)
    store.drain()
    with store.read() as ledger:
        rows = ledger.rows("select turn_id, count(*) as n from turns group by 1 order by 1")
    assert [(row["turn_id"], row["n"]) for row in rows] == [(turn_id, 1) for turn_id in sorted(asked)]


def test_the_journals_folder_may_go_too(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.write(make_trace())
    (tmp_path / "journal").rename(tmp_path / "elsewhere")
    journal.write(make_trace())
    assert journal.notice is not None and "put back with 1 lines" in journal.notice[1]
    assert len(next((tmp_path / "journal").glob("*.jsonl")).read_bytes().splitlines()) == 2
    assert journal.look() == journal.notice
    journal.close()


def test_two_processes_share_the_file_that_one_of_them_put_back(tmp_path: Path) -> None:
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    first, second = Spending(tmp_path / "s.sqlite"), Spending(tmp_path / "s.sqlite")
    first.settle("a", "ada", day, 1.0, 0)
    second.settle("b", "bob", day, 2.0, 0)
    (tmp_path / "s.sqlite").unlink()
    first.settle("c", "ada", day, 4.0, 0)
    second.settle("d", "bob", day, 8.0, 0)
    for one in (first, second, Spending(tmp_path / "s.sqlite")):
        assert one.totals(day).usd == pytest.approx(15.0)
        one.close()
