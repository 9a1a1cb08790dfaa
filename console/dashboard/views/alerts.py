"""Alerts: what fires, the rules as data to edit, what happened before, mutes, and a test message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape

import streamlit as st

from console import alerts, format
from console.dashboard import (
    amounts,
    clock,
    data,
    disk,
    downloads,
    markup,
    notices,
    palette,
    releases,
    visitor,
    whose,
)
from console.senders import addresses
from traces.alerts import changing, standing
from traces.alerts.rules import Edit, Rule, concerns
from traces.alerts.standing import Book, Standing
from traces.errors import TracesError

SECTIONS = ("Now", "Rules", "History", "Mute and test")
STATES = {
    "firing": palette.BAD,
    "resolved": palette.GOOD,
    "ok": palette.GOOD,
    "no data": palette.NEUTRAL,
    "muted": palette.NEUTRAL,
}
EVENTS = {"firing": palette.BAD, "over": palette.GOOD}
MOST = 200


def page() -> None:
    """Draw the section that the address names."""
    st.title("Alerts", anchor=False)
    section = st.segmented_control(
        "Section",
        SECTIONS,
        default=SECTIONS[0],
        required=True,
        key="alerts",
        bind="query-params",
        label_visibility="collapsed",
    )
    with notices.problems(), plainly():
        DRAW[section or SECTIONS[0]]()


@contextmanager
def plainly() -> Iterator[None]:
    """Show what is wrong with the rules, or with a change of them, as one sentence."""
    try:
        yield
    except (TracesError, OSError) as error:
        text = disk.why(error)
        st.error(notices.plain(f"{text[:1].upper()}{text[1:]}."), icon=":material/error:")


def _now() -> None:
    book = alerts.standing(data.settings())
    if book.checked_at is None:
        notices.note(
            "Nothing was judged yet",
            "While <code>answerdeck up</code> runs, all rules are judged every minute, every five while "
            "nobody is told; "
            "<code>answerdeck alerts check</code> judges them once.",
            key="no-check",
        )
        return
    now = datetime.now(UTC)
    rule_by_name = _rules()
    if not rule_by_name:
        _no_rules()
        return
    order = {"firing": 0, "resolved": 1, "no data": 2, "ok": 3}
    own = [alert for alert in book.standings.values() if concerns(alert.rule, whose.seen())]
    rows = sorted(own, key=lambda alert: (order[alert.state], alert.key))
    heads = ["State", "What", clock.head("Since"), "Likely cause", "Turns"]
    lines = [_standing(alert, book, rule_by_name, now) for alert in rows]
    markup.show(markup.table(heads, lines), key="standings")
    st.caption(f"Judged {format.ago(book.checked_at, now)}.")


def _standing(alert: Standing, book: Book, rule_by_name: dict[str, Rule], now: datetime) -> str:
    title = rule_by_name[alert.rule].title if alert.rule in rule_by_name else alert.rule
    state = markup.chip(alert.state, STATES[alert.state])
    if book.muted(alert, now):
        state += " " + markup.chip("muted", STATES["muted"])
    text = alert.text if alert.state in ("firing", "resolved") else ""
    return markup.row(
        [
            markup.cell(state),
            markup.cell(f"<b>{escape(title)}</b>" + markup.small(escape(text)), "text"),
            markup.cell(clock.minute(alert.began if alert.state == "firing" else alert.since)),
            markup.cell(escape(alert.cause or "—"), "text"),
            markup.cell(_turns(alert.link)),
        ]
    )


def _turns(link: str | None) -> str:
    return f'<a href="{escape(link)}">show</a>' if link else "—"


def _edit() -> None:
    rule_by_name = _rules()
    _make()
    if not rule_by_name:
        _no_rules()
        return
    heads = ["Rule", "Limit ", "Above the usual ", "Tells", "Judged", "Version "]
    markup.show(markup.table(heads, [_rule(rule) for rule in rule_by_name.values()]), key="rules")
    key = st.selectbox(
        "Change a rule", list(rule_by_name), format_func=lambda name: rule_by_name[name].title, key="rule",
        bind="query-params", width=420,
    )  # fmt: skip
    if key:
        _form(rule_by_name[key])
        _versions(rule_by_name[key], alerts.edits(data.settings(), key))


def _no_rules() -> None:
    notices.note(
        f"No rule is for {escape(whose.own())} alone",
        "Make one under <b>Rules</b>: it judges the turns of this workspace, from the next check on. "
        "Rules about all workspaces together are shown to admins of the installation.",
        key="no-rules",
    )


def _make() -> None:
    """Offer to judge the turns of one workspace by a rule of its own."""
    names = whose.known() if whose.everything() else [whose.own()]
    if len(whose.known()) == 1:
        return
    rule_by_name = alerts.rule_book(data.settings())
    shipped = [key for key, rule in rule_by_name.items() if rule.kind != "gauge" and rule.workspace is None]
    with (
        st.form("make-rule", clear_on_submit=True),
        st.container(horizontal=True, vertical_alignment="bottom", gap="small"),
    ):
        key = st.selectbox(
            "Make a rule like", shipped, format_func=lambda name: rule_by_name[name].title, width=420
        )
        workspace = st.selectbox("for the workspace", names, width=180)
        pressed = st.form_submit_button("Make it", icon=":material/add:")
    if pressed and key and workspace:
        visitor.need("editor", "change alerts")
        rule = alerts.make(data.settings(), rule_by_name[key], workspace, by=releases.actor())
        notices.done(None, f"{rule.title} is judged with the next check")


def _rule(rule: Rule) -> str:
    return markup.row(
        [
            markup.cell(f"<b>{escape(rule.title)}</b>" + markup.small(escape(rule.key), "mono"), "text"),
            markup.cell(_amount(rule, rule.limit), "right"),
            markup.cell(_above(rule), "right"),
            markup.cell("wakes somebody" if rule.severity == "page" else "notice"),
            markup.cell(markup.chip("on", palette.GOOD) if rule.on else markup.chip("off", palette.NEUTRAL)),
            markup.cell(str(rule.version) if rule.version else "as shipped", "right"),
        ]
    )


def _amount(rule: Rule, value: float | None) -> str:
    if value is None:
        return "—"
    writers = {"share": format.share, "usd": format.usd}
    return writers[rule.unit](value) if rule.unit in writers else f"{value:g} {rule.unit}"


def _above(rule: Rule) -> str:
    if rule.change is None:
        return "—"
    return f"× {rule.change:g}" if rule.kind == "mean" else f"+{rule.change * 100:g} pp"


def _form(rule: Rule) -> None:
    with st.form(f"edit-{rule.key}-{rule.version}"):
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            limit = amounts.field("Limit", rule.limit, width=140)
            change = amounts.field(
                "Above the usual", rule.change, width=150,
                help="Shares as 0.08 for 8 percentage points; means as a factor, 1.5.",
            )  # fmt: skip
            levels = ["page", "notice"]
            severity = st.selectbox("Tells", levels, index=levels.index(rule.severity), width=120)
            on = st.checkbox("Judged", value=rule.on)
            reason = st.text_input("Why", max_chars=300, width=260)
        pressed = st.form_submit_button("Save as a new version", type="primary")
    if pressed:
        visitor.need("editor", "change alerts")
        if problem := limit.problem or change.problem:
            st.error(notices.plain(f"Not saved: {problem}."))
            return
        edits = {"limit": limit.value, "change": change.value, "severity": severity, "on": on}
        changes = {name: value for name, value in edits.items() if value != getattr(rule, name)}
        if not changes:
            st.info("Nothing is different.")
            return
        alerts.edit(data.settings(), rule, changes, by=releases.actor(), reason=reason)
        notices.done(None, f"{rule.title}: in force with the next check")


def _versions(rule: Rule, edits: list[Edit]) -> None:
    if not edits:
        st.caption("As shipped or configured; each change is kept here with who, when and why.")
        return
    rows = [
        markup.row(
            [
                markup.cell(str(edit.version), "right"),
                markup.cell(clock.minute(edit.at)),
                markup.cell(escape(edit.by)),
                markup.cell(escape(alerts.difference(edit)), "text"),
                markup.cell(escape(edit.reason or "—"), "text"),
            ]
        )
        for edit in reversed(edits)
    ]
    heads = ["Version ", clock.head("When"), "Who", "Change", "Why"]
    markup.show(markup.table(heads, rows), key="versions")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        version = st.selectbox("Take back version", [edit.version for edit in reversed(edits)], width=180)
        if st.button("Take it back", icon=":material/undo:") and version:
            visitor.need("editor", "change alerts")
            alerts.restore(data.settings(), rule, version, by=releases.actor())
            notices.done(None, f"Version {version} is taken back")


def _history() -> None:
    rows = standing.history(alerts.folder(data.settings()), MOST, workspace=whose.seen())
    if not rows:
        notices.note(
            "Nothing happened yet", "What fires, ends, is muted or reset is listed here.", key="quiet"
        )
        return
    lines = [
        markup.row(
            [
                markup.cell(clock.moment(row.at)),
                markup.cell(markup.chip(row.event, EVENTS.get(row.event, palette.NEUTRAL))),
                markup.cell(_happened(row), "text"),
                markup.cell(escape(row.cause or "—"), "text"),
                markup.cell(escape(row.by or "—")),
                markup.cell(_turns(row.link)),
            ]
        )
        for row in rows
    ]
    heads = [clock.head("When"), "What happened", "Alert", "Likely cause", "Who", "Turns"]
    markup.show(markup.table(heads, lines), key="history")
    downloads.button([asdict(row) for row in rows], "alert-history")


def _happened(row: standing.AlertChange) -> str:
    return f"<b>{escape(_called(row.key, {}))}</b>" + markup.small(escape(row.text or ""))


def _quiet() -> None:
    settings, now = data.settings(), datetime.now(UTC)
    rule_by_name = _rules()
    everything = [changing.ALL] if whose.everything() else []
    with st.container(border=True, horizontal=True, vertical_alignment="bottom", gap="small"):
        key = st.selectbox(
            "Mute", [*everything, *rule_by_name], width=420,
            format_func=lambda name: _called(name, rule_by_name),
        )  # fmt: skip
        hours = amounts.field("Hours", 4.0, more_than=0, most=720, width=120)
        pressed = st.button("Mute", icon=":material/notifications_off:")
    if pressed and key and hours.value is None:
        st.error(notices.plain(f"Not muted: {hours.problem or 'say for how many hours'}."))
    elif pressed and key and hours.value is not None:
        visitor.need("editor", "change alerts")
        alerts.mute(settings, key, hours.value, by=releases.actor())
        st.rerun()
    for name, until in alerts.standing(settings).mutes.items():
        if until > now and concerns(name, whose.seen()):
            with st.container(horizontal=True, vertical_alignment="center"):
                until_when = clock.plain(until, "%d %b %H:%M")
                st.markdown(notices.plain(f"Muted until {until_when}: {_called(name, rule_by_name)}"))
                if st.button("End it", key=f"unmute-{name}"):
                    visitor.need("editor", "change alerts")
                    alerts.mute(settings, name, 0, by=releases.actor())
                    st.rerun()
    if not everything:
        st.caption("Who is told is configured for the whole installation; its admins test that.")
        return
    address_names = addresses(settings)
    st.header("Who is told", anchor=False)
    quiet = settings.alerts.quiet_hours
    st.caption(
        notices.plain(f"Quiet hours {quiet}: notices wait until they end, pages do not.") if quiet
        else "No quiet hours are set: alerts.quiet_hours of the configuration."
    )  # fmt: skip
    if not address_names:
        st.caption("Nobody: alerts.webhooks and alerts.targets are empty. Set them, then send a test here.")
        return
    st.caption(notices.plain(", ".join(address_names)))
    if st.button("Send a test message", icon=":material/send:"):
        visitor.need("editor", "change alerts")
        failures = alerts.test(settings)
        notices.done("; ".join(failures) or None, "Sent")


def _called(key: str, rule_by_name: dict[str, Rule]) -> str:
    """Return what people call a rule, an alert or all of them."""
    if key == changing.ALL:
        return "all rules"
    return rule_by_name[key].title if key in rule_by_name else key


def _rules() -> dict[str, Rule]:
    """Return the rules of whose turns are looked at, by key."""
    rule_book, seen = alerts.rule_book(data.settings()), whose.seen()
    return {key: rule for key, rule in rule_book.items() if concerns(key, seen)}


DRAW = {"Now": _now, "Rules": _edit, "History": _history, "Mute and test": _quiet}
