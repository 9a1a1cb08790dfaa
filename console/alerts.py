"""Alerts for this installation: what its settings watch for, what only it can measure, and who is told."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from console.senders import addresses, send
from pipeline import build, shelving
from pipeline.configuration.data_folder import DataFolder
from pipeline.desk import desk
from pipeline.errors import AnswerdeckError
from pipeline.knowledge.standing import Lag
from pipeline.prompts.force import BECOMING
from pipeline.settings import Settings
from traces.alerts import changing, rules, watching
from traces.alerts.gauges import Gauge, Readings
from traces.alerts.outbox import deliver
from traces.alerts.quiet import Quiet
from traces.alerts.rules import Edit, Rule
from traces.alerts.standing import AlertMessage, Book, keeping, read
from traces.alerts.watching import AlertWatch
from traces.ids import uuid7

UNDER_WAY_SECONDS = 600.0  # an ingestion that wrote its progress so lately is no lag


def check(settings: Settings, now: datetime | None = None) -> Book:
    """Judge all rules now and keep how they stand; sends nothing."""
    with desk(settings).together():
        return watching.check(build.store(settings), watch(settings), readings(settings), now)


def post(settings: Settings, now: datetime | None = None) -> list[str]:
    """Send what is due to everybody who is told; returns what failed, without the secret parts."""
    now = now or datetime.now(UTC)
    targets = addresses(settings)
    with desk(settings).together(), keeping(settings.data_dir) as book:
        for message in book.outbox:
            message.targets = [target for target in message.targets if target in targets]
        return deliver(book, lambda target, message: send(targets[target], message), now)


def test(settings: Settings) -> list[str]:
    """Send a test message to everybody who is told; returns what failed."""
    now = datetime.now(UTC)
    text = "this is a test of the alerts."
    failures: list[str] = []
    for name, address in addresses(settings).items():
        message = AlertMessage(uuid7(), "test", "test", text, "notice", now, now, [name])
        if (failure := send(address, message)) is not None:
            failures.append(failure)
    return failures


def standing(settings: Settings) -> Book:
    """Return how the alerts stood at the last check, of any machine."""
    desk(settings).look()
    return read(settings.data_dir)


def folder(settings: Settings) -> Path:
    """Return where their history lies, as all machines have it."""
    desk(settings).look()
    return settings.data_dir


def rule_book(settings: Settings) -> dict[str, Rule]:
    """Return the rules in force by key; raises RuleError."""
    desk(settings).look()
    return rules.load(settings.data_dir, {"cost_per_conversation": settings.alerts.conversation_usd})


def edits(settings: Settings, key: str | None) -> list[Edit]:
    """Return the edits of a rule, oldest first."""
    return [edit for edit in rules.edits(settings.data_dir) if edit.key == key]


def edit(settings: Settings, rule: Rule, changes: Mapping[str, Any], *, by: str, reason: str) -> Rule:
    """Change a rule on all machines; raises RuleError."""
    with desk(settings).together():
        return rules.edit(settings.data_dir, rule, changes, by=by, reason=reason)


def make(settings: Settings, rule: Rule, workspace: str, *, by: str) -> Rule:
    """Make a rule like this one for a workspace alone, on all machines; raises RuleError."""
    with desk(settings).together():
        return rules.make(settings.data_dir, rule, workspace, by=by)


def restore(settings: Settings, rule: Rule, version: int, *, by: str) -> Rule:
    """Take back one edit of a rule on all machines; raises RuleError."""
    with desk(settings).together():
        return rules.restore(settings.data_dir, rule, version, by=by)


def difference(edit: Edit) -> str:
    """Return what an edit changed, in words; what a rule was made with is no change."""
    changes = [(name, edit.was[name], now) for name, now in edit.now.items() if name in edit.was]
    return ", ".join(f"{name}: {_word(was)} → {_word(now)}" for name, was, now in changes)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def mute(settings: Settings, key: str, hours: float, *, by: str) -> datetime | None:
    """Tell nobody of a rule for some hours, 0 ends it; returns until when. Raises RuleError."""
    with desk(settings).together():
        return changing.mute(settings.data_dir, key, hours, by=by)


def reset(settings: Settings, key: str, *, by: str) -> None:
    """Take what happens now for usual from now on; raises RuleError."""
    with desk(settings).together():
        changing.reset(settings.data_dir, key, by=by)


def watch(settings: Settings) -> AlertWatch:
    """Return what the settings watch for."""
    alerts, server = settings.alerts, settings.server
    return AlertWatch(
        turn_seconds=alerts.turn_seconds,
        first_token_seconds=alerts.first_token_seconds,
        limits={"cost_per_conversation": alerts.conversation_usd},
        prompts=_prompts(settings),
        model=settings.models.primary,
        console_url=alerts.console_url or f"http://127.0.0.1:{server.console_port}",
        targets=tuple(addresses(settings)),
        quiet=Quiet.parse(alerts.quiet_hours) if alerts.quiet_hours else None,
    )


def readings(settings: Settings) -> Readings:
    """Return what the ledger cannot tell: budgets used and documents that wait."""
    gauges = [_index(settings)]
    try:
        gauges += _budgets(settings)
    except AnswerdeckError:
        return Readings(tuple(gauges), frozenset({"spend"}))
    return Readings(tuple(gauges))


def _prompts(settings: Settings) -> tuple[str, ...]:
    """Return the answer prompts that ever were in force, the present one last."""
    force = shelving.force(settings)
    try:
        changes = [
            change for change in force.changes() if change.prompt == "answer" and change.action in BECOMING
        ]
    except AnswerdeckError:  # an altered log: what is in force is known all the same
        changes = []
    labels = [settings.prompts.answer, *(change.after for change in changes), force.label("answer")]
    return tuple(dict.fromkeys(reversed(labels)))[::-1]


def _index(settings: Settings) -> Gauge:
    path = DataFolder(settings.data_dir).knowledge / f"{settings.kb}.lag.json"
    lag = Lag.load(path)
    quiet = not path.exists() or time.time() - path.stat().st_mtime < UNDER_WAY_SECONDS
    waiting = 0 if quiet else lag.pending
    text = (
        f"{waiting} documents of {settings.kb!r} wait since an ingestion ended; go on with: answerdeck ingest"
    )
    return Gauge("index_lag", "", waiting, f"{text}.")


def _budgets(settings: Settings) -> Iterator[Gauge]:
    budget = build.budget(settings)
    try:
        report = budget.report()
    finally:
        budget.spending.close()
    if report.trouble:
        yield Gauge("spend", "file", 2.0, f"Budgets cannot be kept: {report.trouble}.")
        raise AnswerdeckError(report.trouble)
    for row in report.reached:
        if row.level != "unpriced":
            who = f" of user {row.who}" if row.who else ""
            text = f"{row.level} of the budget{who} for {row.period} are used."
            subject = " ".join(part for part in (row.period, row.who, row.level) if part)
            yield Gauge("spend", subject, 1.0, text)
