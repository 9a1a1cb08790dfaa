"""Messages: each alert is told once when it fires and once when it is over, and again until it arrived."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from traces.alerts import wording
from traces.alerts.quiet import Quiet
from traces.alerts.rules import Rule
from traces.alerts.standing import AlertMessage, Book, Standing
from traces.ids import uuid7

EXPIRES = timedelta(hours=24)  # a message nobody could be given for so long says nothing any more
Send = Callable[[str, AlertMessage], str | None]  # target, message -> why it failed


def announce(
    book: Book, rules: Mapping[str, Rule], targets: Sequence[str], quiet: Quiet | None, now: datetime
) -> None:
    """Write the messages that are due: of what fires and was not told, and of what was told and is over.

    What waits for the morning is taken back when the alert is muted meanwhile, or over, which alone is told.
    """
    for key, standing in list(book.standings.items()):
        severity = rules[standing.rule].severity if standing.rule in rules else "notice"
        if standing.state == "firing" and book.muted(standing, now):
            if _withdrawn(book, key, now):
                book.standings[key] = replace(standing, told=False)
        elif standing.state == "firing" and not standing.told:
            _write(book, standing, "firing", _firing(standing), severity, targets, quiet, now)
            book.standings[key] = replace(standing, told=bool(targets))
        elif standing.state != "firing" and standing.told:
            _withdrawn(book, key, now)
            text = wording.over(standing.text, standing.began, standing.calm_from or now)
            _write(book, standing, "over", text, severity, targets, quiet, now)
            book.standings[key] = replace(standing, told=False)


def deliver(book: Book, send: Send, now: datetime) -> list[str]:
    """Send what is due, oldest first; what fails stays for the next time. Returns the failures."""
    failures: list[str] = []
    for message in list(book.outbox):
        if message.not_before > now:
            continue
        left = []
        for target in message.targets:
            if (failure := send(target, message)) is not None:
                failures.append(failure)
                left.append(target)
        message.targets = left
        if not left or now - max(message.at, message.not_before) > EXPIRES:
            book.outbox.remove(message)
    return failures


def _withdrawn(book: Book, key: str, now: datetime) -> bool:
    """Take back the message that an alert fires, if it still waits; say whether there was one."""
    left = [
        message
        for message in book.outbox
        if not (message.key == key and message.event == "firing" and message.not_before > now)
    ]
    withdrawn = len(left) < len(book.outbox)
    book.outbox = left
    return withdrawn


def _firing(standing: Standing) -> str:
    parts = [standing.text]
    if standing.began is not None:
        parts.append(f"Since about {standing.began:%d %b %H:%M} UTC.")
    if standing.cause:
        parts.append(f"Likely cause: {standing.cause}.")
    if standing.link:
        parts.append(standing.link)
    return " ".join(parts)


def _write(
    book: Book, standing: Standing, event: str, text: str, severity: str,
    targets: Sequence[str], quiet: Quiet | None, now: datetime,
) -> None:  # fmt: skip
    if not targets:
        return
    when = quiet.until(now) if quiet is not None and severity != "page" else now
    book.outbox.append(
        AlertMessage(uuid7(), standing.key, event, text, severity, now, when, list(targets))  # type: ignore[arg-type]
    )
