"""Who is told of alerts: every kind of receiver, on loopback, gets what it understands, once."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from console import alerts
from console.cli import app
from pipeline.guardrails.budget import Budget, SpendingLimits
from pipeline.guardrails.spending import Spending
from pipeline.settings import Settings, load_settings
from tests.factories import make_trace
from traces.journal import Journal

NOW = datetime.now(UTC)
SECRET = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


class Receiver(BaseHTTPRequestHandler):
    """Takes any POST and keeps its path and body."""

    heard: list[tuple[str, Any]]
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.heard.append((self.path, json.loads(body)))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Serve HTTP on loopback; yields host:port and what was posted."""
    handler = type("Kept", (Receiver,), {"heard": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", handler.heard
        server.shutdown()
        thread.join()


class Mailbox(socketserver.StreamRequestHandler):
    """Speaks as much SMTP as it takes to receive one message."""

    def handle(self) -> None:
        self.wfile.write(b"220 box\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                while (text := self.rfile.readline()) != b".\r\n":
                    self.server.mail.append(text.decode())  # type: ignore[attr-defined]  # set by the fixture
            if word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 ok\r\n")


@pytest.fixture
def mailbox() -> Iterator[tuple[int, list[str]]]:
    with socketserver.TCPServer(("127.0.0.1", 0), Mailbox) as server:
        server.mail = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], server.mail  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


def outage(settings: Settings) -> None:
    """A day of good turns, then an hour of failures."""
    journal = Journal(settings.data_dir / "journal")
    for number in range(300):
        late = number < 60
        began = NOW - timedelta(minutes=number if late else 60 + 4 * number)
        journal.write(make_trace(started_at=began, outcome="failed" if late else "answered"))
    journal.close()


def test_an_outage_reaches_slack_teams_mail_pagerduty_and_a_webhook(
    receiver: tuple[str, list[tuple[str, Any]]],
    mailbox: tuple[int, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from apprise.plugins.pagerduty import PAGERDUTY_API_LOOKUP, NotifyPagerDuty
    from apprise.plugins.slack import NotifySlack
    from apprise.plugins.workflows import NotifyWorkflows

    (host, heard), (port, mail) = receiver, mailbox
    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://{host}/services")
    for region in PAGERDUTY_API_LOOKUP:
        monkeypatch.setitem(PAGERDUTY_API_LOOKUP, region, f"http://{host}/pagerduty")
    assert NotifyPagerDuty and NotifyWorkflows
    targets = [
        f"slack://{SECRET}/#ops",
        f"pagerduty://{'a' * 32}@{'b' * 32}",
        f"mailto://127.0.0.1:{port}?from=deck@example.com&to=ops@example.com&mode=insecure",
        f"json://{host}/anything",
    ]
    settings = load_settings(alerts={"webhooks": [f"http://{host}/hook"], "targets": targets})
    outage(settings)
    alerts.check(settings, NOW)
    assert alerts.post(settings, NOW) == []
    alerts.check(settings, NOW + timedelta(minutes=1))
    assert alerts.post(settings, NOW) == []  # once
    paths = [path.split("?")[0] for path, _ in heard]
    assert sorted(paths) == sorted(["/hook", f"/services/{SECRET}", "/pagerduty", "/anything"])
    bodies = {path: json.dumps(body) for path, body in heard}
    assert all("Error rate: 100.0%" in body for body in bodies.values())
    assert any("Error rate: 100.0%" in line for line in mail)
    assert any(line.startswith("Subject: Answerdeck: alert") for line in mail)
    kept = (settings.data_dir / "alerts.json").read_text() + (
        settings.data_dir / "alert-history.jsonl"
    ).read_text()
    assert SECRET.split("/")[-1] not in kept


def test_teams_gets_a_card(
    receiver: tuple[str, list[tuple[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests

    host, heard = receiver
    post = requests.request

    def over_http(method: str, url: str, **options: Any) -> Any:  # the plugin knows https only
        return post(method, url.replace("https://", "http://"), **options)

    monkeypatch.setattr(requests, "post", lambda url, **options: over_http("post", url, **options))
    settings = load_settings(alerts={"targets": [f"workflows://{host}/{'w' * 32}/{'s' * 32}"]})
    assert alerts.test(settings) == []
    assert "this is a test of the alerts" in json.dumps(heard[0][1])


def test_what_cannot_be_sent_is_named_without_its_secret_and_sent_again(
    receiver: tuple[str, list[tuple[str, Any]]],
) -> None:
    host, heard = receiver
    settings = load_settings(alerts={"webhooks": ["http://127.0.0.1:9/secret-path"]})
    outage(settings)
    alerts.check(settings, NOW)
    (failure,) = alerts.post(settings, NOW)
    assert failure.startswith("webhook-") and "secret" not in failure
    assert alerts.post(settings, NOW) == [failure]
    again = load_settings(alerts={"webhooks": [f"http://{host}/hook"]})
    assert alerts.post(again, NOW) == []  # nobody of those it was for is configured any more
    assert heard == []


def test_budgets_fire_a_level_each_and_end_with_their_day() -> None:
    settings = load_settings(budgets={"day_usd": 1.0})
    spending = Spending(settings.data_dir / "spending.sqlite")
    Budget(spending, SpendingLimits(day_usd=1.0)).settle("t", "ada", 0.85, 0)
    spending.close()
    day = f"{NOW:%Y-%m-%d}"
    firing = [one.key for one in alerts.check(settings).standings.values() if one.state == "firing"]
    assert sorted(firing) == [f"spend {day} 50%", f"spend {day} 80%"]


def test_nothing_fires_on_an_empty_house() -> None:
    assert {one.state for one in alerts.check(load_settings()).standings.values()} <= {"ok", "no data"}


def test_the_command_line_checks_mutes_edits_and_remembers() -> None:
    call = CliRunner().invoke
    assert call(app, ["alerts", "check"]).output == "Nothing fires.\n"
    outage(load_settings())
    seen = call(app, ["alerts", "check"])
    assert seen.exit_code == 1 and "Error rate: 100.0%" in seen.output
    assert "error_rate" in call(app, ["alerts", "check", "--all"]).output
    assert call(app, ["alerts", "mute", "error_rate", "--hours", "2"]).exit_code == 0
    assert call(app, ["alerts", "mute", "nosuch"]).exit_code == 2
    edited = call(
        app, ["alerts", "rules", "error_rate", "--limit", "0.2", "--reason", "night shift", "--json"]
    )
    assert json.loads(edited.output)[0]["limit"] == 0.2
    assert call(app, ["alerts", "rules", "error_rate", "--limit", "7"]).exit_code == 2
    assert call(app, ["alerts", "rules", "error_rate", "--restore", "1"]).exit_code == 0
    assert call(app, ["alerts", "reset", "error_rate"]).exit_code == 0
    assert (
        "error_rate@default" in call(app, ["alerts", "rules", "error_rate", "--workspace", "default"]).output
    )
    for wrong in (
        ["spend", "--workspace", "default"],
        ["--restore", "1"],
    ):
        assert call(app, ["alerts", "rules", *wrong]).exit_code == 2
    events = [row["event"] for row in json.loads(call(app, ["alerts", "history", "--json"]).output)]
    assert events == ["reset", "mute", "firing"]
    sent = call(app, ["alerts", "test"])
    assert sent.exit_code == 1
