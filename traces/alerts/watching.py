"""One look at everything: the ledger's counts and the gauges judged, standings kept, messages written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from traces.alerts import causes, gauges, wording
from traces.alerts.counts import STEP_SECONDS, StepCounts
from traces.alerts.gauges import Gauge, Readings
from traces.alerts.judging import judge
from traces.alerts.outbox import announce
from traces.alerts.quiet import Quiet
from traces.alerts.rules import Rule, load
from traces.alerts.standing import Book, Standing, ended, keeping, note
from traces.alerts.usual import DAYS
from traces.errors import StoreError
from traces.queries import watch
from traces.queries.window import Rows, Window
from traces.store import Store

LOOK_BACK = timedelta(days=DAYS + 3)
UNPRICED_SINCE = timedelta(hours=24)
GAUGE_CALM = timedelta(minutes=10)  # a gauge under its limit for so long is over
RULES_OF_THE_LEDGER = frozenset({"unpriced", "evalset_fall"})


@dataclass(frozen=True, slots=True)
class AlertWatch:
    """What is watched for: objectives in seconds, limits that the configuration sets, who is told when."""

    turn_seconds: float = 10.0
    first_token_seconds: float = 3.0
    limits: Mapping[str, float | None] = field(default_factory=dict)
    prompts: Sequence[str] = ()  # the versions that ever were in force, the present one last
    model: str | None = None  # in force now
    console_url: str = "http://127.0.0.1:8501"
    targets: tuple[str, ...] = ()
    quiet: Quiet | None = None

    @property
    def objectives(self) -> dict[str, float]:
        return {"latency_p95": self.turn_seconds, "first_token_p95": self.first_token_seconds}


def check(
    store: Store, what: AlertWatch, readings: Readings = Readings(), now: datetime | None = None
) -> Book:
    """Judge every rule that is on, keep how each stands, and write the messages that are due.

    A ledger that cannot be read leaves the rules that need it as they were.
    """
    now, data_dir = now or datetime.now(UTC), store.data_dir
    rules = {key: rule for key, rule in load(data_dir, what.limits).items() if rule.on}
    with keeping(data_dir) as book:
        _drop(book, rules)
        readings = replace(readings, gauges=(*readings.gauges, gauges.drain(store.health())))
        try:
            for workspace in dict.fromkeys((None, *(rule.workspace for rule in rules.values()))):
                own = {key: rule for key, rule in rules.items() if rule.workspace == workspace}
                with store.read(workspace=workspace) as ledger:
                    _judge_counts(data_dir, ledger, what, own, book, now)
                    if workspace is None:
                        readings = replace(readings, gauges=(*readings.gauges, *_measured(ledger, what, now)))
        except StoreError:
            readings = replace(readings, unread=readings.unread | RULES_OF_THE_LEDGER)
        _judge_gauges(data_dir, readings, what, rules, book, now)
        announce(book, rules, what.targets, what.quiet, now)
        book.checked_at = now
        return book


def _judge_counts(
    folder: Path, ledger: Rows, what: AlertWatch, rules: Mapping[str, Rule], book: Book, now: datetime
) -> None:
    changes: list[watch.Swap] | None = None
    counts = dict(_counts(ledger, what, rules, now))
    for key, rule in rules.items():
        if rule.kind == "gauge":
            continue
        seen = judge(rule, counts[key], book.standings.get(key, Standing(key, key)), now)
        standing = seen.standing
        if seen.event == "firing" and seen.finding is not None:
            if changes is None:
                changes = watch.changes(ledger, Window(now - LOOK_BACK, now))
            began = standing.began or now
            standing = replace(
                standing,
                text=wording.sentence(rule, seen.finding, what.objectives),
                cause=causes.likely(changes, began),
                link=wording.link(what.console_url, rule, began, now, what.objectives),
            )
        book.standings[key] = standing
        if seen.event is not None:
            note(folder, seen.event, standing, now)


def _counts(
    ledger: Rows, what: AlertWatch, rules: Mapping[str, Rule], now: datetime
) -> Iterator[tuple[str, StepCounts]]:
    """Yield the counts each rule looks at; their last step ends now."""
    window = Window(now - LOOK_BACK, now)
    rows = [
        *watch.counts(
            ledger,
            window,
            STEP_SECONDS,
            turn_seconds=what.turn_seconds,
            first_token_seconds=what.first_token_seconds,
        ),
        *watch.thumbs(ledger, window, STEP_SECONDS),
        *watch.scored(ledger, window, STEP_SECONDS),
        *watch.conversations(ledger, window, STEP_SECONDS),
    ]
    steps = int(LOOK_BACK / timedelta(seconds=STEP_SECONDS))
    for key, rule in rules.items():
        if rule.kind != "gauge":
            named = [row for row in rows if hasattr(row, rule.n)]
            yield key, StepCounts.of(named, steps, rule.n, rule.bad, rule.squares)


def _measured(ledger: Rows, what: AlertWatch, now: datetime) -> list[Gauge]:
    return [
        *gauges.unpriced(ledger, Window(now - UNPRICED_SINCE, now)),
        *gauges.falls(ledger, Window(now - LOOK_BACK, now), what.prompts, what.model),
    ]


def _judge_gauges(
    folder: Path, readings: Readings, what: AlertWatch, rules: Mapping[str, Rule], book: Book, now: datetime
) -> None:
    gauges = [reading for reading in readings.gauges if reading.rule in rules]
    over = {reading.key: reading for reading in gauges if reading.value > (rules[reading.rule].limit or 0)}
    for key, gauge in over.items():
        standing = book.standings.get(key, Standing(key, gauge.rule))
        if standing.state != "firing":
            standing = _begun(standing, gauge, rules[gauge.rule], what, now)
            note(folder, "firing", standing, now)
        book.standings[key] = replace(standing, calm_from=None, text=gauge.text, worst=gauge.value)
    for key, standing in list(book.standings.items()):
        kind = rules[standing.rule].kind if standing.rule in rules else None
        if kind == "gauge" and key not in over and standing.rule not in readings.unread:
            _calm(folder, standing, book, now)
    for key in rules:
        if rules[key].kind == "gauge" and not any(piece.rule == key for piece in book.standings.values()):
            book.standings[key] = Standing(key, key, "no data" if key in readings.unread else "ok", now)


def _begun(standing: Standing, gauge: Gauge, rule: Rule, what: AlertWatch, now: datetime) -> Standing:
    turns = wording.link(what.console_url, rule, now - UNPRICED_SINCE, now, {}) if rule.shows else None
    return replace(
        standing,
        state="firing",
        since=now,
        began=now,
        fired_at=now,
        resolved_at=None,
        value=gauge.value,
        reference=rule.limit,
        text=gauge.text,
        link=turns,
        told=False,
    )


def _calm(folder: Path, standing: Standing, book: Book, now: datetime) -> None:
    """A gauge is under its limit: over when it stays so; forgotten a day later."""
    if standing.state == "firing":
        since = standing.calm_from or now
        standing = replace(standing, calm_from=since)
        if now - since >= GAUGE_CALM:
            standing = ended(standing, now, since)
            note(folder, "over", standing, now)
    elif (
        standing.state == "resolved"
        and standing.since is not None
        and now - standing.since > timedelta(days=1)
    ):
        del book.standings[standing.key]
        return
    book.standings[standing.key] = standing


def _drop(book: Book, rules: Mapping[str, Rule]) -> None:
    """Forget how rules stood that are off or gone."""
    for key in [key for key, standing in book.standings.items() if standing.rule not in rules]:
        del book.standings[key]
