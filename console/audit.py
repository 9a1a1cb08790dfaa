"""Who changed what: the logs of prompts, alert rules, people, breakers and all else, as one list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from console import alerts
from pipeline import build, deeds
from pipeline.access.people import People
from pipeline.auth import DEFAULT
from pipeline.configuration.data_folder import DataFolder
from pipeline.deeds import Deed
from pipeline.errors import AnswerdeckError
from pipeline.prompts.force import Force
from pipeline.settings import Settings
from traces.alerts import rules, standing
from traces.errors import StoreError, TracesError

BY_PEOPLE = ("mute", "reset")  # of what happens to alerts
SIGN_INS = ("signed in", "signed out")
NEWEST = 5_000  # lines of one log


@dataclass(frozen=True, slots=True)
class Audit:
    """What was changed, the newest first, and which logs cannot be read, a sentence each."""

    deeds: Sequence[Deed]
    troubles: Sequence[str]


def read(settings: Settings, people: People) -> Audit:
    """Return what was changed in all workspaces; a log that cannot be read does not hide the others."""
    logs: dict[str, Callable[[], Iterator[Deed]]] = {
        "prompts": partial(_prompts, settings),
        "alert rules": partial(_rules, settings),
        "mutes": partial(_mutes, settings),
        "users, keys and workspaces": partial(_access, people),
        "breakers": partial(_breakers, settings),
        "evalsets, knowledge bases and the gate": lambda: iter(deeds.deeds(settings)),
    }
    listed: list[Deed] = []
    troubles: list[str] = []
    for name, log in logs.items():
        try:
            listed += log()
        except (AnswerdeckError, TracesError, StoreError, OSError) as error:
            troubles.append(f"The log of {name} cannot be read: {error}")
    return Audit(sorted(listed, key=lambda deed: deed.at, reverse=True), troubles)


def _prompts(settings: Settings) -> Iterator[Deed]:
    for workspace, folder in DataFolder(settings.data_dir).everywhere():
        for change in Force(folder.audit, {}).changes():
            share = f" for {change.share:.0%} of the conversations" if change.share else ""
            what = f"{change.action} {change.before} → {change.after}{share}"
            at = datetime.fromisoformat(change.at)
            yield Deed(at, change.actor, what, change.reason or "", workspace)


def _rules(settings: Settings) -> Iterator[Deed]:
    for edit in rules.edits(alerts.folder(settings)):
        what = f"alert rule {edit.key}: {alerts.difference(edit)}"
        yield Deed(edit.at, edit.by, what, edit.reason, _whose(edit.key))


def _mutes(settings: Settings) -> Iterator[Deed]:
    for change in standing.history(alerts.folder(settings), NEWEST):
        if change.event in BY_PEOPLE:
            text = change.text if change.event == "mute" else "what happens now is usual from now on"
            what = f"alert {change.key}: {text}"
            yield Deed(
                change.at, change.by or "unknown", what, "", change.rule.partition(rules.OF)[2] or None
            )


def _whose(rule: str) -> str | None:
    return rule.partition(rules.OF)[2] or None


def _access(people: People) -> Iterator[Deed]:
    for event in people.events(NEWEST):
        if event.event not in SIGN_INS and event.actor is not None:
            what = " ".join(filter(None, (event.event, event.name, event.detail)))
            yield Deed(datetime.fromisoformat(event.at), event.actor, what)


def _breakers(settings: Settings) -> Iterator[Deed]:
    for change in build.breaker_changes(settings):
        what = f"breaker {change.name}: {change.old} → {change.new}"
        yield Deed(change.at, "the chat", what, change.reason)


def named(deed: Deed, several: bool) -> Deed:
    """Return a deed that names its workspace, where there are several."""
    where = deed.workspace or ""
    return replace(deed, what=f"{where}: {deed.what}") if several and where not in ("", DEFAULT) else deed
