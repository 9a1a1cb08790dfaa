"""Alerts: what fires, and that webhooks hear of it once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from console import alerts
from console.alerts import Alert
from pipeline.guardrails.budget import Budget, Limits
from pipeline.guardrails.spending import Spending
from pipeline.settings import load
from tests.factories import make_trace
from traces.journal import Journal

NOW = datetime.now(UTC)


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """Serve a webhook on loopback; yields its address and the texts it got."""
    heard: list[str] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/secret-path", heard
        server.shutdown()
        thread.join()


def test_each_alert_is_told_once_and_once_when_it_is_over(
    tmp_path: Path, listener: tuple[str, list[str]]
) -> None:
    url, heard = listener
    fire = [Alert("k", "It burns.")]
    for found in (fire, fire, [], []):
        assert alerts.tell(tmp_path, found, [url]) == []
    assert heard == ["Answerdeck: It burns.", "Answerdeck: over: It burns."]


def test_what_could_not_be_sent_is_sent_again(tmp_path: Path, listener: tuple[str, list[str]]) -> None:
    url, heard = listener
    failures = alerts.tell(tmp_path, [Alert("k", "It burns.")], ["http://127.0.0.1:9/secret-path"])
    assert len(failures) == 1
    assert "secret" not in failures[0]
    assert alerts.tell(tmp_path, [Alert("k", "It burns.")], [url]) == []
    assert heard == ["Answerdeck: It burns."]


def test_budgets_errors_and_slow_first_tokens_fire() -> None:
    settings = load(budgets={"day_usd": 1.0})
    spending = Spending(settings.data_dir / "spending.sqlite")
    Budget(spending, Limits(day_usd=1.0)).settle("t", "ada", 0.85, 0)
    spending.close()
    journal = Journal(settings.data_dir / "journal")
    for number in range(150):
        late = number < 30
        journal.write(
            make_trace(
                started_at=NOW - timedelta(minutes=2 if late else 60 + number),
                outcome="failed" if late else "answered",
                first_token_seconds=5.0 if late else 0.1,
            )
        )
    journal.close()
    keys = [alert.key for alert in alerts.find(settings)]
    day = f"{NOW:%Y-%m-%d}"
    assert sorted(keys) == sorted([f"budget {day}  80%", f"budget {day}  50%", "error_rate", "first token"])


def test_nothing_fires_on_an_empty_house() -> None:
    assert alerts.find(load()) == []
