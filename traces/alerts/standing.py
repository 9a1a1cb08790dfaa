"""How each alert stands, kept over restarts: ok, firing, resolved or no data."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from traces.alerts.rules import concerns

State = Literal["ok", "firing", "resolved", "no data"]
STANDINGS = "alerts.json"  # below the data folder
HISTORY = "alert-history.jsonl"
EPISODES = 50  # kept of each alert


@dataclass(frozen=True, slots=True)
class Standing:
    """One alert: a rule, or one of a rule's subjects (an evalset, a budget, a model)."""

    key: str
    rule: str
    state: State = "ok"
    since: datetime | None = None  # in this state
    began: datetime | None = None  # when the incident most likely began
    fired_at: datetime | None = None
    resolved_at: datetime | None = None
    calm_from: datetime | None = None  # what lies before belongs to an incident that is over
    text: str = ""
    cause: str | None = None
    link: str | None = None
    value: float | None = None  # now, or when it fired
    worst: float | None = None
    reference: float | None = None
    calm_steps: int | None = None
    told: bool = False  # somebody was told that it fires, and will be told that it is over
    usual_from: datetime | None = None  # nothing before it is taken for usual
    episodes: tuple[tuple[datetime, datetime], ...] = ()  # incidents that are over


@dataclass(slots=True)
class AlertMessage:
    """What is still to be sent, to whom, and not before when."""

    id: str
    key: str
    event: Literal["firing", "over", "test"]
    text: str
    severity: str
    at: datetime
    not_before: datetime
    targets: list[str]


@dataclass(slots=True)
class Book:
    """All that is kept: standings, messages to send, mutes."""

    standings: dict[str, Standing] = field(default_factory=dict)
    outbox: list[AlertMessage] = field(default_factory=list)
    mutes: dict[str, datetime] = field(default_factory=dict)  # rule or "*" to the end of its mute
    checked_at: datetime | None = None

    def muted(self, standing: Standing, now: datetime) -> bool:
        """Say whether nobody shall be told of this alert now."""
        return any(
            until > now and name in ("*", standing.rule, standing.key) for name, until in self.mutes.items()
        )


@contextmanager
def keeping(folder: Path) -> Iterator[Book]:
    """Hold the book alone and keep what was changed in it, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "alerts.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        book = read(folder)
        yield book
        _write(folder, book)
    finally:
        os.close(lock)


def read(folder: Path) -> Book:
    """Return the book as it was last kept; an unreadable one is put aside and a fresh one begun."""
    path = folder / STANDINGS
    try:
        document = json.loads(path.read_text("utf-8"))
        return _book(document) if "standings" in document else Book()  # written before alerts had a state
    except FileNotFoundError:
        return Book()
    except (ValueError, TypeError, KeyError):
        path.replace(path.with_name(f"{path.name}.bad"))
        return Book()


@dataclass(frozen=True, slots=True)
class AlertChange:
    """What happened to an alert: `began` is ISO text, `by` the person who did it."""

    at: datetime
    event: str
    key: str
    rule: str
    text: str | None
    began: str | None
    value: float | None
    reference: float | None
    cause: str | None
    by: str | None
    link: str | None  # to the turns behind it

    @classmethod
    def read(cls, line: str) -> AlertChange:
        """Return the event of a line; raises ValueError for half a line."""
        row = json.loads(line)
        names = ("key", "rule", "text", "began", "value", "reference", "cause", "by", "link")
        return cls(datetime.fromisoformat(row["at"]), row["event"], *(row.get(name) for name in names))

    def line(self) -> str:
        """Return the event as a line of the history."""
        return json.dumps(asdict(self) | {"at": self.at.isoformat()}) + "\n"


def note(folder: Path, event: str, standing: Standing, at: datetime, by: str | None = None) -> None:
    """Append to the history what happened to an alert."""
    row = AlertChange(
        at,
        event,
        standing.key,
        standing.rule,
        standing.text,
        _text(standing.began),
        standing.value,
        standing.reference,
        standing.cause,
        by,
        standing.link,
    )
    file = os.open(folder / HISTORY, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, row.line().encode())
    finally:
        os.close(file)


def history(
    folder: Path, limit: int = 100, key: str | None = None, workspace: str | None = None
) -> list[AlertChange]:
    """Return what happened, the newest first, to all rules or one workspace's.

    Half a line at the end is left out.
    """
    try:
        lines = (folder / HISTORY).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    events: list[AlertChange] = []
    for line in reversed(lines):
        try:
            event = AlertChange.read(line)
        except ValueError:
            continue
        if (key is None or key in (event.key, event.rule)) and concerns(event.rule, workspace):
            events.append(event)
        if len(events) == limit:
            break
    return events


def rewrite(folder: Path, stays: Callable[[AlertChange], bool]) -> None:
    """Write the history again without some of its events, whole or not at all."""
    events = [event for event in reversed(history(folder, limit=1_000_000)) if stays(event)]
    draft = folder / f"{HISTORY}.new"
    draft.write_text("".join(event.line() for event in events))
    draft.replace(folder / HISTORY)


def _write(folder: Path, book: Book) -> None:
    document = {
        "standings": {key: asdict(standing) for key, standing in book.standings.items()},
        "outbox": [asdict(message) for message in book.outbox],
        "mutes": book.mutes,
        "checked_at": book.checked_at,
    }
    draft = folder / f"{STANDINGS}.new"
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as file:
        json.dump(document, file, default=lambda value: value.isoformat())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / STANDINGS)


def _book(document: dict[str, Any]) -> Book:
    times = ("since", "began", "fired_at", "resolved_at", "calm_from", "usual_from")
    standings: dict[str, Standing] = {}
    for key, row in document["standings"].items():
        episodes = tuple((_time(a), _time(b)) for a, b in row.pop("episodes"))
        row |= {name: None if row[name] is None else _time(row[name]) for name in times}
        standings[key] = Standing(**row, episodes=episodes)
    outbox = [
        AlertMessage(**row | {name: _time(row[name]) for name in ("at", "not_before")})
        for row in document["outbox"]
    ]
    mutes = {name: _time(until) for name, until in document["mutes"].items()}
    checked = document["checked_at"]
    return Book(standings, outbox, mutes, None if checked is None else _time(checked))


def ended(standing: Standing, now: datetime, calm_from: datetime) -> Standing:
    """Return a standing whose incident is over."""
    began = standing.began or standing.fired_at or now
    episodes = (*standing.episodes, (began, calm_from))[-EPISODES:]
    return replace(
        standing, state="resolved", since=now, resolved_at=now, calm_from=calm_from, episodes=episodes
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
