"""What an alert says: the figure, against what, since when, why perhaps, and where to look."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

from traces.alerts.counts import STEP_SECONDS
from traces.alerts.rules import Rule
from traces.alerts.scan import Finding


def sentence(rule: Rule, finding: Finding, objectives: Mapping[str, float]) -> str:
    """Return one sentence for the person who is woken by it."""
    minutes = finding.length * STEP_SECONDS // 60
    span = f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"
    usual = "" if finding.usual is None else f", usually {figure(rule, finding.usual)} ({finding.source})"
    if rule.kind == "silence":
        whose = f" of {rule.workspace}" if rule.workspace else ""
        return (
            f"Silence{whose}: {finding.n} turns in {span}, where {finding.reference:,.0f} are usual"
            " (the same hours of earlier days)."
        )
    what = _title(rule, objectives)
    limit = f"; the limit is {figure(rule, rule.limit)}" if rule.limit is not None else ""
    if rule.kind == "mean":
        return (
            f"{what} is {figure(rule, finding.rate)} over {finding.n} conversations in {span}{limit}{usual}."
        )
    return (
        f"{what}: {figure(rule, finding.rate)} ({finding.bad:,.0f} of {finding.n:,} in {span}){limit}{usual}."
    )


def over(text: str, began: datetime | None, now: datetime) -> str:
    """Return what is said when it is over."""
    lasted = "" if began is None else f" It lasted about {_span((now - began).total_seconds())}."
    return f"over: {text}{lasted}"


def link(
    console_url: str, rule: Rule, began: datetime, now: datetime, objectives: Mapping[str, float]
) -> str:
    """Return the address of the turns behind an alert."""
    shown = dict(rule.shows or {})
    if shown.get("slower") == "objective":
        shown["slower"] = f"{objectives.get(rule.shipped_key, 0):g}"
    if rule.workspace is not None:
        shown["workspace"] = rule.workspace
    span = {"since": began.isoformat(timespec="seconds"), "until": now.isoformat(timespec="seconds")}
    return f"{console_url.rstrip('/')}/turns?{urlencode(span | shown)}"


def figure(rule: Rule, value: float | None) -> str:
    """Write a value of a rule in its unit."""
    if value is None:
        return "—"
    if rule.unit == "share":
        return f"{value:.1%}"
    if rule.unit == "usd":
        return f"${value:,.4f}"
    return f"{value:,.0f} {rule.unit}".strip()


def _title(rule: Rule, objectives: Mapping[str, float]) -> str:
    objective = objectives.get(rule.shipped_key)
    return rule.title if objective is None else f"{rule.title} ({objective:g} s)"


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
