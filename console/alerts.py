"""Alerts: what fires now, told to webhooks once when it begins and once when it is over."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.guardrails.budget import Budget, Limits
from pipeline.guardrails.spending import Spending
from pipeline.settings import Settings
from traces import incidents
from traces.queries import overview
from traces.queries.window import Window
from traces.store import Store

STEP = timedelta(minutes=30)
LOOK_BACK = timedelta(hours=24)
POST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that is wrong now: its key stays the same while it lasts."""

    key: str
    text: str


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def find(settings: Settings, now: datetime | None = None) -> list[Alert]:
    """Return what fires: budgets, unpriced turns, and the newest half hour of the ledger."""
    now = now or datetime.now(UTC)
    store = Store(settings.data_dir)
    health = store.health()
    found = list(_budgets(settings))
    if health.trouble:
        found.append(Alert("drainer", f"Turns cannot be moved into the trace store: {health.trouble}."))
    with store.read() as ledger:
        window = Window(now - LOOK_BACK, now)
        series = overview.series(ledger, window, int(STEP.total_seconds()))
    return found + list(_rates(series, window, settings.alerts.first_token_seconds))


def post(urls: Sequence[str], text: str) -> list[str]:
    """Send one message to every webhook as {"text": …}; return what failed, without the secret paths."""
    opener = urllib.request.build_opener(_NoRedirects)
    failures: list[str] = []
    for url in urls:
        body = json.dumps({"text": text}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with opener.open(request, timeout=POST_SECONDS):
                pass
        except OSError as error:
            failures.append(f"{urlsplit(url).hostname}: {error}")
    return failures


def tell(folder: Path, found: Sequence[Alert], urls: Sequence[str]) -> list[str]:
    """Post what began and what is over since the last time; what could not be sent is sent again."""
    path = folder / "alerts.json"
    before: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    now = {alert.key: alert.text for alert in found}
    lines = [f"Answerdeck: {text}" for key, text in now.items() if key not in before]
    lines += [f"Answerdeck: over: {text}" for key, text in before.items() if key not in now]
    failures = post(urls, "\n".join(lines)) if lines else []
    if lines and not failures:
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(now))
        fresh.replace(path)
    return failures


def _budgets(settings: Settings) -> Iterator[Alert]:
    spending = Spending(settings.data_dir / "spending.sqlite")
    report = Budget(spending, Limits(**settings.budgets.model_dump())).report()
    spending.close()
    if report["trouble"]:
        yield Alert("budget file", f"Budgets cannot be kept: {report['trouble']}.")
    for row in report.get("reached", ()):
        key = f"budget {row['period']} {row['who']} {row['level']}"
        if row["level"] == "unpriced":
            yield Alert(key, f"Turns of {row['period']} have no known price.")
        else:
            who = f" of user {row['who']}" if row["who"] else ""
            yield Alert(key, f"{row['level']} of the budget{who} for {row['period']} are used.")


def _rates(series: Sequence[dict[str, Any]], window: Window, objective: float) -> Iterator[Alert]:
    """Judge the last whole step against the day's usual."""
    last = int(LOOK_BACK / STEP) - 2  # the newest one has only begun
    newest = [row for row in series if row["step"] >= last and row["turns"] >= incidents.FEWEST_TURNS]
    for incident in incidents.find(series, window.since, STEP):
        if incident.kind != "latency" and incident.until > window.until - 2 * STEP:
            name = incident.kind.replace("_", " ")
            yield Alert(incident.kind, f"The {name} is {incident.value:.1%}, usually {incident.usual:.1%}.")
    slow = [row["first_token_p95"] for row in newest if (row["first_token_p95"] or 0.0) > objective]
    if slow:
        yield Alert("first token", f"First token p95 is {max(slow):.2f} s, the objective {objective:g} s.")
