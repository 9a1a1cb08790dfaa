"""What people do to alerts: mute them, and take the present for usual."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from traces.alerts.rules import RuleError, load
from traces.alerts.standing import Standing, keeping, note

ALL = "*"


def mute(folder: Path, key: str, hours: float, *, by: str, now: datetime | None = None) -> datetime | None:
    """Tell nobody of a rule (or one alert, or all) for some hours; 0 ends it. Returns until when."""
    now = now or datetime.now(UTC)
    with keeping(folder) as book:
        rules = load(folder)
        if key != ALL and key not in rules and key not in book.standings:
            raise RuleError(f"there is no rule or alert {key!r}; rules are {', '.join(rules)}")
        until = now + timedelta(hours=hours) if hours > 0 else None
        book.mutes.pop(key, None)
        if until is not None:
            book.mutes[key] = until
        book.mutes = {name: end for name, end in book.mutes.items() if end > now}
        text = f"muted until {until:%Y-%m-%d %H:%M} UTC" if until else "mute ended"
        note(folder, "mute", replace(book.standings.get(key, Standing(key, key)), text=text), now, by)
        return until


def reset(folder: Path, key: str, *, by: str, now: datetime | None = None) -> None:
    """Take what happens now for usual from now on; raises RuleError when the alert is unknown."""
    now = now or datetime.now(UTC)
    with keeping(folder) as book:
        standing = book.standings.get(key)
        if standing is None:
            raise RuleError(f"nothing is known of {key!r}; there are {', '.join(book.standings) or 'none'}")
        fresh = Standing(key, standing.rule, "ok", now, calm_from=now, usual_from=now, text=standing.text)
        note(folder, "reset", fresh, now, by)
        book.standings[key] = replace(fresh, text="")
