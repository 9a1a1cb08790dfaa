"""`answerdeck alerts …`: what is wrong now, what was, by which rules, and who is told."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from typing import Annotated, Any

import typer

from console import alerts
from console.commands.access import access
from console.commands.screen import emit, failed, table, wrong
from console.senders import addresses
from pipeline.settings import Settings, load_settings
from traces.alerts import standing
from traces.alerts.rules import OF, Rule, RuleError, find_rule

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def check(
    post: Annotated[
        bool, typer.Option("--post", help="Tell who is configured what is new and over.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show the rules that do not fire too.")] = False,
    json: Json = False,
) -> None:
    """Judge all rules now; exit 1 when any fires. `up` does it every minute, or cron with --post."""
    settings = load_settings()
    book = alerts.check(settings)
    firing = [alert for alert in book.standings.values() if alert.state == "firing"]
    shown = list(book.standings.values()) if everything else firing
    if json:
        emit([asdict(alert) for alert in shown])
    elif everything:
        table(("rule", "state", "since", "what"), ((o.key, o.state, _when(o.since), o.text) for o in shown))
    else:
        print("\n".join(_line(alert) for alert in firing) or "Nothing fires.")
    if post and (failures := alerts.post(settings)):
        raise failed("; ".join(failures))
    if firing:
        raise typer.Exit(1)


def send_test() -> None:
    """Send a test message to everybody who is told."""
    settings = load_settings()
    targets = addresses(settings)
    if not targets:
        raise failed("alerts.webhooks and alerts.targets are empty, so nobody would be told")
    if failures := alerts.test(settings):
        raise failed("; ".join(failures))
    print(f"Sent to {', '.join(targets)}.")


def history(
    key: Annotated[str | None, typer.Argument(help="Only this rule or alert.")] = None,
    limit: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many events.")] = 30,
    json: Json = False,
) -> None:
    """Show what fired, what ended, and who muted or changed what, the newest first."""
    rows = standing.history(alerts.folder(load_settings()), limit, key)
    if json:
        emit([asdict(row) for row in rows])
    elif rows:
        columns = ("at", "event", "key", "text", "cause")
        table(columns, ([_when(row.at), *(getattr(row, name) for name in columns[1:])] for row in rows))
    else:
        print("Nothing happened yet." if key is None else f"Nothing happened to {key!r}.")


def mute(
    key: Annotated[str, typer.Argument(help="A rule, an alert, or '*' for all.")],
    hours: Annotated[float, typer.Option(min=0.0, max=24 * 30, help="For so long; 0 ends a mute.")] = 4.0,
) -> None:
    """Tell nobody of a rule for some hours; what still fires after them is told then."""
    try:
        until = alerts.mute(load_settings(), key, hours, by=_me())
    except RuleError as error:
        raise wrong(str(error)) from None
    print(f"{key} is heard again." if until is None else f"{key} is muted until {_when(until)} UTC.")


def reset(key: Annotated[str, typer.Argument(help="A rule that fires.")]) -> None:
    """Take what happens now for usual from now on: the alert ends without being over."""
    try:
        alerts.reset(load_settings(), key, by=_me())
    except RuleError as error:
        raise wrong(str(error)) from None
    print(f"{key} starts anew.")


def rules(
    key: Annotated[str | None, typer.Argument(help="A rule to show or change.")] = None,
    limit: Annotated[float | None, typer.Option(help="Over it fires.")] = None,
    change: Annotated[float | None, typer.Option(help="So much above the usual fires.")] = None,
    severity: Annotated[str | None, typer.Option(help="page or notice.")] = None,
    on: Annotated[bool | None, typer.Option("--on/--off", help="Whether it is judged at all.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for who comes after.")] = "",
    restore: Annotated[int | None, typer.Option(help="Take back this version.")] = None,
    workspace: Annotated[str | None, typer.Option(help="Make one like it for this workspace.")] = None,
    json: Json = False,
) -> None:
    """Show, make or change rules; every change is kept with who, when and why."""
    settings = load_settings()
    edits = {"limit": limit, "change": change, "severity": severity, "on": on}
    changes = {name: value for name, value in edits.items() if value is not None}
    try:
        if key is None:
            if changes or restore or workspace:
                raise RuleError("name the rule to change")
            chosen = list(alerts.rule_book(settings).values())
        else:
            rule = _named(settings, key, workspace)
            if restore is not None:
                rule = alerts.restore(settings, rule, restore, by=_me())
            elif changes:
                rule = alerts.edit(settings, rule, changes, by=_me(), reason=reason)
            chosen, key = [rule], rule.key
    except RuleError as error:
        raise wrong(str(error)) from None
    if json:
        emit([asdict(rule) for rule in chosen])
        return
    _show(chosen, alerts.edits(settings, key))


def _named(settings: Settings, key: str, workspace: str | None) -> Rule:
    """Return the rule of a key, that of a workspace where one is named: made when there is none yet."""
    rule_book = alerts.rule_book(settings)
    rule = find_rule(rule_book, key)
    if workspace is None:
        return rule
    with access() as people:
        people.workspaces.check(workspace)
    return rule_book.get(f"{key}{OF}{workspace}") or alerts.make(settings, rule, workspace, by=_me())


def _show(chosen: list[Any], edits: list[Any]) -> None:
    rows = (
        (
            edit.key,
            edit.title,
            edit.limit,
            edit.change,
            edit.severity,
            "on" if edit.on else "off",
            edit.version,
        )
        for edit in chosen
    )
    table(("rule", "what", "limit", "change", "severity", "", "version"), rows)
    for rule in edits:
        print(
            f"version {rule.version}, {_when(rule.at)} UTC by {rule.by}:"
            f" {alerts.difference(rule)}  {rule.reason}".rstrip()
        )


def _line(alert: Any) -> str:
    cause = f" Likely cause: {alert.cause}." if alert.cause else ""
    return f"{alert.text} Since about {_when(alert.began)} UTC.{cause} {alert.link or ''}".rstrip()


def _when(moment: Any) -> str | None:
    return None if moment is None else f"{moment:%d %b %H:%M}"


def _me() -> str:
    return getpass.getuser()
