"""Rules as data: those shipped, those a team edited, and every version of them."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from traces.errors import TracesError

Kind = Literal["share", "mean", "silence", "gauge"]
Severity = Literal["page", "notice"]
SHIPPED = Path(__file__).parent / "rules.toml"
EDITS = "alert-rules.jsonl"  # below the data folder: one edit a line, never rewritten
EDITABLE = ("limit", "change", "severity", "on")
OF = "@"  # between a rule as shipped and the workspace that one of the same kind was made for


class RuleError(TracesError):
    """A rule cannot be changed so; the message says what is possible."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is watched, and from where on it is an alert. None: not looked at in this way."""

    key: str
    title: str
    kind: Kind
    unit: str  # share | usd | turns | seconds | documents
    n: str = ""  # the column that counts everything
    bad: str = ""  # the column that counts the bad ones, or sums the values
    squares: str = ""
    limit: float | None = None
    change: float | None = None  # above the usual: in shares, or as a factor of a mean
    severity: Severity = "notice"
    on: bool = True
    shows: Mapping[str, str] | None = None  # which filters of the Turns page show what is behind it
    version: int = 0  # 0 as shipped, then the number of the edit
    workspace: str | None = None  # whose turns alone are judged; None: those of all together

    @property
    def shipped_key(self) -> str:
        """The key of the rule as shipped that this one is, or was made after."""
        return self.key.partition(OF)[0]


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of one rule."""

    version: int
    key: str
    at: datetime
    by: str
    reason: str
    was: dict[str, Any]
    now: dict[str, Any]


def shipped(limits: Mapping[str, float | None] | None = None) -> dict[str, Rule]:
    """Return the rules as shipped, with limits that the configuration sets, by key."""
    rows = tomllib.loads(SHIPPED.read_text("utf-8"))
    rules = {key: Rule(key=key, **row) for key, row in rows.items()}
    for key, limit in (limits or {}).items():
        if limit is not None:
            rules[key] = replace(rules[key], limit=limit)
    return rules


def load(folder: Path, limits: Mapping[str, float | None] | None = None) -> dict[str, Rule]:
    """Return the rules in force: as shipped, configured, then made and edited; raises RuleError."""
    rules = shipped(limits)
    for edit in edits(folder):
        rule = rules.get(edit.key) or _of_workspace(rules, edit.key)
        if rule is not None:
            rules[edit.key] = replace(rule, **edit.now, version=edit.version)
    return rules


def edits(folder: Path) -> list[Edit]:
    """Return every edit, oldest first."""
    path = folder / EDITS
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    history: list[Edit] = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            history.append(Edit(**row | {"at": datetime.fromisoformat(row["at"])}))
        except (ValueError, TypeError, KeyError) as error:
            raise RuleError(f"{EDITS} line {number} cannot be read ({error}); correct or delete it") from None
    return history


def edit(folder: Path, rule: Rule, changes: Mapping[str, Any], *, by: str, reason: str) -> Rule:
    """Change a rule and keep who did it and why; raises RuleError naming what is wrong."""
    now = _checked(rule, changes)
    was = {name: getattr(rule, name) for name in now}
    return _append(folder, rule, was, now, by, reason)


def make(folder: Path, rule: Rule, workspace: str, *, by: str, reason: str = "") -> Rule:
    """Begin to judge a workspace's turns by a rule of its own, as strict as `rule` is now.

    Raises RuleError for a figure that is measured of the whole installation, and where there is one already.
    """
    if rule.kind == "gauge" or rule.workspace is not None:
        raise RuleError(
            f"rule {rule.key!r} cannot be made for one workspace; it can be: {', '.join(_apart())}"
        )
    key = _within(rule, workspace).key
    if any(edit.key == key for edit in edits(folder)):
        raise RuleError(f"there is a rule {key!r} already; change that one")
    now = {name: getattr(rule, name) for name in EDITABLE} | {"on": True}
    return _append(folder, _within(rule, workspace), {"on": False}, now, by, reason)


def _apart() -> list[str]:
    """Return the rules that can be made for one workspace: those that count turns."""
    return [key for key, rule in shipped().items() if rule.kind != "gauge"]


def _of_workspace(rules: Mapping[str, Rule], key: str) -> Rule | None:
    """Return what a rule that was made for a workspace began as; None when it is no such rule."""
    base, _, workspace = key.partition(OF)
    rule = rules.get(base)
    return _within(rule, workspace) if workspace and rule is not None else None


def _within(rule: Rule, workspace: str) -> Rule:
    key, title = f"{rule.key}{OF}{workspace}", f"{rule.title} of {workspace}"
    return replace(rule, key=key, title=title, workspace=workspace)


def _append(
    folder: Path, rule: Rule, was: Mapping[str, Any], now: Mapping[str, Any], by: str, reason: str
) -> Rule:
    version = len(edits(folder)) + 1
    entry = asdict(Edit(version, rule.key, datetime.now(UTC), by, reason, dict(was), dict(now)))
    line = json.dumps(entry | {"at": entry["at"].isoformat()}) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder / EDITS, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, line.encode())
        os.fsync(file)
    finally:
        os.close(file)
    return replace(rule, **now, version=version)


def restore(folder: Path, rule: Rule, version: int, *, by: str) -> Rule:
    """Take back one edit of a rule, as an edit of its own; raises RuleError when there is no such one."""
    for earlier in edits(folder):
        if earlier.version == version and earlier.key == rule.key:
            return edit(folder, rule, earlier.was, by=by, reason=f"back to before version {version}")
    raise RuleError(f"rule {rule.key!r} has no version {version}; see: answerdeck alerts rules {rule.key}")


def concerns(key: str, workspace: str | None) -> bool:
    """Tell whether a rule is of a workspace; with None, of all together, each is."""
    return workspace is None or key.partition(OF)[2] == workspace


def find_rule(rules: Mapping[str, Rule], key: str) -> Rule:
    """Return the rule with this key; raises RuleError listing those there are."""
    if key not in rules:
        raise RuleError(f"there is no rule {key!r}; there are {', '.join(rules)}")
    return rules[key]


def _checked(rule: Rule, changes: Mapping[str, Any]) -> dict[str, Any]:
    if not changes or not set(changes) <= set(EDITABLE):
        raise RuleError(
            f"of a rule can be changed: {', '.join(EDITABLE)} (got {', '.join(changes) or 'nothing'})"
        )
    now = dict(changes)
    for name in ("limit", "change"):
        value = now.get(name)
        if value is not None:
            now[name] = _number(rule, name, value)
    if now.get("severity", "page") not in ("page", "notice"):
        raise RuleError(f"severity {now['severity']!r} is unknown; it can be page or notice")
    return now


def _number(rule: Rule, name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise RuleError(f"{name} {value!r} is no number") from None
    highest = 1.0 if rule.unit == "share" and rule.key != "spend" else 1e9
    lowest = 1.0 if rule.kind == "mean" and name == "change" else 0.0
    if not lowest <= number <= highest:
        raise RuleError(f"{name} {value!r} of rule {rule.key!r} must be between {lowest:g} and {highest:g}")
    return number


def columns(rules: Iterable[Rule]) -> set[str]:
    """Return the columns of counts that rules look at."""
    return {name for rule in rules for name in (rule.n, rule.bad, rule.squares) if name}


assert set(EDITABLE) <= {field.name for field in fields(Rule)}
