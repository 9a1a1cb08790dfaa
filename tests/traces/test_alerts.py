"""The parts of the alerts: exact tails, what is usual, states kept, messages told once."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.factories import make_score, make_trace
from traces.alerts import changing, rules, standing
from traces.alerts.counts import DAY, HOUR, StepCounts
from traces.alerts.evidence import at_least, at_most, mean_over, so_few
from traces.alerts.gauges import Gauge, Readings, chance
from traces.alerts.outbox import announce, deliver
from traces.alerts.quiet import Quiet
from traces.alerts.rules import RuleError
from traces.alerts.usual import usual
from traces.alerts.watching import AlertWatch, check
from traces.journal import Journal
from traces.records import Case, Run
from traces.store import Store

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
EXACT = 1e9


@pytest.mark.parametrize(("k", "n", "rate"), [(3, 10, 0.1), (1, 1, 0.5), (10, 10, 0.3), (40, 200, 0.1)])
def test_the_tails_are_the_binomial_ones(k: int, n: int, rate: float) -> None:
    upper = sum(math.comb(n, i) * rate**i * (1 - rate) ** (n - i) for i in range(k, n + 1))
    assert at_least(k, n, rate, EXACT) == pytest.approx(upper, rel=1e-4)
    assert at_most(k, n, rate) == pytest.approx(1 - upper + math.comb(n, k) * rate**k * (1 - rate) ** (n - k))


def test_a_rate_that_varies_makes_chance_likelier() -> None:
    assert at_least(20, 100, 0.1, 50) > 10 * at_least(20, 100, 0.1, EXACT)
    # beta-binomial with a = b = 1 is uniform over 0..n
    assert at_least(8, 9, 0.5, 2.0) == pytest.approx(0.2)


def test_so_few_turns_is_poisson_where_days_are_alike() -> None:
    assert so_few(0, 10.0, 1e9) == pytest.approx(math.exp(-10), rel=1e-3)
    assert so_few(0, 10.0, 2.0) == pytest.approx((2 / 12) ** 2)


def test_means_are_judged_by_students_t() -> None:
    assert mean_over(2.228, math.sqrt(11), 11, 0.0) == pytest.approx(0.025, rel=0.1)  # t(10)
    assert mean_over(1.0, 1.0, 20, 1.0) == 1.0


def test_usual_leaves_out_the_days_that_were_incidents() -> None:
    bad = [1 if at % 10 == 0 else 0 for at in range(10 * DAY)]
    n = [10] * (10 * DAY)
    bad[7 * DAY : 8 * DAY] = [10] * DAY
    known = usual(StepCounts(n, bad), 9 * DAY + 11 * HOUR, 9 * DAY + 12 * HOUR)
    assert known is not None
    assert known.rate == pytest.approx(0.01, abs=0.005)
    assert known.days == 8


def test_counts_leave_out_stretches_once() -> None:
    counts = StepCounts([1] * 10, [1] * 10).without([(2, 5), (4, 6), (-3, 1)])
    assert counts.between(0, 10).n == 5
    assert counts.between(3, 8).n == 2
    assert counts.between(-5, 50).n == 5


@pytest.mark.parametrize(
    ("losses", "expected"),
    [([0.3] * 5, 1 / 32), ([0.0] * 9, 1.0), ([0.5, -0.5], 0.75), ([0.2] * 40, 0.0)],
)
def test_a_loss_is_held_against_flipped_signs(losses: list[float], expected: float) -> None:
    assert chance(losses) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("at", "until"),
    [("21:59", "21:59"), ("22:00", "31:00"), ("06:59", "07:00"), ("07:00", "07:00")],
)
def test_quiet_hours_end_in_the_morning(at: str, until: str) -> None:
    def time(text: str) -> datetime:
        hour, minute = map(int, text.split(":"))
        return datetime(2026, 11, 20, tzinfo=UTC) + timedelta(hours=hour, minutes=minute)

    assert Quiet.parse("22:00-07:00").until(time(at)) == time(until)
    for wrong in ("22-7", "22:00", "25:00-07:00", "22:00-07:00 Mars/Crater", "22:00-22:00"):
        with pytest.raises((ValueError, LookupError)):
            Quiet.parse(wrong)


@pytest.mark.parametrize(
    ("hours", "at", "until"),
    [
        ("22:00-07:00", "2026-03-28T22:30", "2026-03-29T05:00"),  # a night of seven hours and a half
        ("22:00-07:00", "2026-03-29T00:59", "2026-03-29T05:00"),
        ("22:00-02:30", "2026-03-28T23:00", "2026-03-29T01:30"),  # half past two does not exist
        ("22:00-07:00", "2026-10-24T20:30", "2026-10-25T06:00"),  # and one of ten
        ("22:00-07:00", "2026-10-25T01:30", "2026-10-25T06:00"),
        ("22:00-02:30", "2026-10-24T23:00", "2026-10-25T00:30"),  # the first of two
        ("09:00-17:00", "2026-10-25T08:00", "2026-10-25T16:00"),
    ],
)
def test_quiet_hours_follow_the_clock_on_the_wall(hours: str, at: str, until: str) -> None:
    begun, ended = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (at, until))
    assert Quiet.parse(f"{hours} Europe/Berlin").until(begun) == ended


def test_what_was_over_or_muted_by_the_morning_is_not_told_as_firing(tmp_path: Path) -> None:
    night = NOW.replace(hour=23)
    quiet, table = Quiet.parse("22:00-07:00"), rules.shipped()
    over, muted = (
        standing.Standing(key, "spend", "firing", night, text="80% are used.", began=night)
        for key in ("spend over", "spend muted")
    )
    book = standing.Book({alert.key: alert for alert in (over, muted)})
    announce(book, table, ["a"], quiet, night)
    assert [message.event for message in book.outbox] == ["firing", "firing"]
    later = night + timedelta(hours=2)  # past midnight
    book.standings["spend over"] = replace(book.standings["spend over"], state="ok", calm_from=later)
    book.mutes["spend muted"] = later + timedelta(hours=12)
    announce(book, table, ["a"], quiet, later)
    assert [(message.key, message.event) for message in book.outbox] == [("spend over", "over")]
    told: list[str] = []
    deliver(book, lambda _, message: told.append(message.key), night + timedelta(hours=8))
    assert told == ["spend over"]
    announce(book, table, ["a"], quiet, later + timedelta(hours=13))  # the mute is over, and it still fires
    assert [(message.key, message.event) for message in book.outbox] == [("spend muted", "firing")]


def turns(store: Store, first: datetime, last: datetime, every: timedelta, **columns: object) -> None:
    journal = Journal(store.journal)
    while first < last:
        journal.write(make_trace(started_at=first, **columns))
        first += every
    journal.close()


def firing(book: standing.Book) -> list[str]:
    return [key for key, one in book.standings.items() if one.state == "firing"]


def test_an_outage_fires_once_stays_and_is_over_only_when_it_is_over(store: Store) -> None:
    """95 % of the searches hit, then none: the alert must last as long as the outage."""
    what = AlertWatch(targets=("somebody",))
    minute = timedelta(minutes=1)
    turns(store, NOW - timedelta(days=2), NOW, 2 * minute)
    store.drain()
    assert firing(check(store, what, now=NOW)) == []
    turns(store, NOW, NOW + timedelta(hours=6), minute, hit=False, prompt="answer@v2")
    store.drain()  # of the live tail every check would read every line
    heard: list[str] = []
    for hours in (0.5, 1, 1.5, 2, 3, 6):
        now = NOW + timedelta(hours=hours)
        book = check(store, what, now=now)
        assert "hit_rate" in firing(book), hours
        with standing.keeping(store.data_dir) as kept:
            deliver(kept, lambda _, message: heard.append(message.text), now)
    assert [text for text in heard if "without a hit" in text] == [heard[0]]
    assert "prompt answer@v1 → answer@v2" in heard[0]
    assert "/turns?since=" in heard[0] and "missed=true" in heard[0]
    turns(store, NOW + timedelta(hours=6), NOW + timedelta(hours=9), minute)
    store.drain()
    for minutes in range(0, 180, 10):
        now = NOW + timedelta(hours=6, minutes=minutes)
        book = check(store, what, now=now)
        with standing.keeping(store.data_dir) as kept:
            deliver(kept, lambda _, message: heard.append(message.text), now)
        if book.standings["hit_rate"].state == "resolved":
            assert minutes >= 60
            break
    assert book.standings["hit_rate"].state == "resolved"
    assert [text for text in heard if text.startswith("over: Searches")] == heard[1:2]
    events = [(row.event, row.key) for row in standing.history(store.data_dir, key="hit_rate")]
    assert events == [("over", "hit_rate"), ("firing", "hit_rate")]


@pytest.fixture(scope="module")
def calm_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with three days of turns that end two hours before now, to copy."""
    store = Store(tmp_path_factory.mktemp("calm"))
    turns(store, NOW - timedelta(days=3), NOW - timedelta(hours=2), timedelta(minutes=2), cost_usd=0.01)
    store.drain()
    return store.data_dir


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"outcome": "failed"}, "error_rate"),
        ({"seconds": 30.0}, "latency_p95"),
        ({"first_token_seconds": 9.0}, "first_token_p95"),
        ({"outcome": "refused", "error_class": "guard_in", "refusal": "injection:x"}, "refusals"),
        ({"outcome": "refused", "error_class": "rate_limited", "refusal": "limit:requests"}, "turned_away"),
        ({"outcome": "no_context"}, "abstentions"),
        ({"cost_usd": 0.5}, "cost_per_conversation"),
    ],
)
def test_each_rule_sees_its_own_kind_of_trouble(
    calm_days: Path, store: Store, columns: dict[str, object], rule: str
) -> None:
    shutil.copytree(calm_days, store.data_dir)
    turns(store, NOW - timedelta(hours=2), NOW, timedelta(minutes=1), **{"cost_usd": 0.01} | columns)
    assert firing(check(store, AlertWatch(), now=NOW)) == [rule]


def test_turns_that_all_failed_for_a_day_fire_though_that_is_usual_by_now(store: Store) -> None:
    turns(store, NOW - timedelta(days=1), NOW, timedelta(minutes=2), outcome="failed")
    assert firing(check(store, AlertWatch(), now=NOW)) == ["error_rate"]


def test_silence_fires_where_traffic_was(store: Store) -> None:
    turns(store, NOW - timedelta(days=4), NOW - timedelta(hours=5), timedelta(minutes=3))
    book = check(store, AlertWatch(), now=NOW)
    assert firing(book) == ["silence"]
    assert book.standings["silence"].began == NOW - timedelta(hours=5)


def test_a_mute_keeps_silent_and_a_reset_takes_the_present_for_usual(store: Store) -> None:
    turns(store, NOW - timedelta(days=1), NOW, timedelta(minutes=5), hit=True)
    turns(store, NOW, NOW + timedelta(hours=5), timedelta(minutes=1), hit=False)
    what, later = AlertWatch(targets=("a",)), NOW + timedelta(hours=2)
    changing.mute(store.data_dir, "hit_rate", 1.0, by="ada", now=later)
    book = check(store, what, now=later)
    assert firing(book) == ["hit_rate"]
    assert book.outbox == []
    book = check(store, what, now=later + timedelta(hours=1, minutes=5))
    assert [message.event for message in book.outbox] == ["firing"]
    changing.reset(store.data_dir, "hit_rate", by="ada", now=later + timedelta(hours=1, minutes=6))
    assert firing(check(store, what, now=later + timedelta(hours=2))) == []
    with pytest.raises(RuleError, match="no rule or alert 'nosuch'"):
        changing.mute(store.data_dir, "nosuch", 1.0, by="ada")


def test_what_could_not_be_sent_is_sent_again_and_a_notice_waits_for_the_morning(store: Store) -> None:
    night = NOW.replace(hour=23)
    what = AlertWatch(targets=("a", "b"), quiet=Quiet.parse("22:00-07:00"))
    read = Readings(
        (Gauge("spend", "2026-11 80%", 1.0, "80% are used."), Gauge("drain_lag", "", 999, "late"))
    )
    assert set(firing(check(store, what, read, night))) == {"spend 2026-11 80%", "drain_lag"}
    heard: list[tuple[str, str]] = []

    def send(target: str, message: standing.AlertMessage) -> str | None:
        if target == "b" and len(heard) < 2:
            heard.append(("b", "refused"))
            return "b: away"
        heard.append((target, message.key))
        return None

    for now in (night, night + timedelta(minutes=1), night + timedelta(hours=9)):
        check(store, what, read, now)
        with standing.keeping(store.data_dir) as book:
            deliver(book, send, now)
    page, notice = "drain_lag", "spend 2026-11 80%"
    assert heard == [("a", page), ("b", "refused"), ("b", page), ("a", notice), ("b", notice)]


def test_a_gauge_nobody_could_read_neither_fires_nor_ends(store: Store) -> None:
    reading = Readings((Gauge("spend", "x", 1.0, "used"),))
    check(store, AlertWatch(), reading, NOW)
    for minutes in (20, 60):
        blind = Readings((), frozenset({"spend"}))
        assert firing(check(store, AlertWatch(), blind, NOW + timedelta(minutes=minutes))) == ["spend x"]
    for minutes in (70, 90):
        book = check(store, AlertWatch(), Readings(), NOW + timedelta(minutes=minutes))
    assert firing(book) == []


def test_rules_are_data_with_versions(tmp_path: Path) -> None:
    rule = rules.load(tmp_path)["error_rate"]
    edited = rules.edit(tmp_path, rule, {"limit": 0.05, "severity": "notice"}, by="ada", reason="too loud")
    assert rules.load(tmp_path)["error_rate"] == edited
    assert (edited.limit, edited.version) == (0.05, 1)
    rules.restore(tmp_path, edited, 1, by="bob")
    assert rules.load(tmp_path)["error_rate"].limit == 0.01
    assert rules.edits(tmp_path)[0].reason == "too loud"
    for wrong in ({"limit": 2.0}, {"limit": "much"}, {"title": "x"}, {"severity": "loud"}, {}):
        with pytest.raises(RuleError):
            rules.edit(tmp_path, rule, wrong, by="ada", reason="")


def test_a_rule_of_a_workspace_judges_its_turns_alone(store: Store) -> None:
    for workspace, outcome in (("default", "answered"), ("sales", "failed"), ("sales", "answered")):
        turns(
            store, NOW - timedelta(days=1), NOW, timedelta(minutes=30), outcome=outcome, workspace=workspace
        )
    base = rules.edit(store.data_dir, rules.shipped()["error_rate"], {"limit": 0.9}, by="ada", reason="")
    made = rules.make(store.data_dir, base, "sales", by="eva")
    assert (made.key, made.limit, made.version) == ("error_rate@sales", 0.9, 2)
    rules.edit(store.data_dir, made, {"limit": 0.2}, by="eva", reason="")
    rules.make(store.data_dir, rules.shipped()["error_rate"], "default", by="ada")
    book = check(store, AlertWatch(targets=("a",)), now=NOW)
    assert firing(book) == ["error_rate@sales"]
    standing_now = book.standings["error_rate@sales"]
    assert standing_now.text.startswith("Error rate of sales: 50.0% (48 of 96")
    assert "workspace=sales" in (standing_now.link or "")
    assert [row.key for row in standing.history(store.data_dir, workspace="sales")] == ["error_rate@sales"]
    assert standing.history(store.data_dir, workspace="default") == []
    changing.mute(store.data_dir, "error_rate@sales", 1.0, by="eva")
    rules.restore(store.data_dir, made, 2, by="eva")
    assert not rules.load(store.data_dir)["error_rate@sales"].on
    for rule, wrong in (
        (base, "already"),
        (rules.shipped()["drain_lag"], "cannot be made"),
        (made, "cannot"),
    ):
        with pytest.raises(RuleError, match=wrong):
            rules.make(store.data_dir, rule, "sales", by="eva")


def test_a_damaged_book_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "alerts.json").write_text('{"standings": {"a"')
    assert standing.read(tmp_path).standings == {}
    assert (tmp_path / "alerts.json.bad").exists()
    (tmp_path / "alerts.json").write_text(json.dumps({"error_rate": "from an older version"}))
    assert standing.read(tmp_path).standings == {}


def run(journal: Journal, run_id: str, prompt: str, at: datetime, value: float, cases: int = 5) -> None:
    for number in range(cases):
        journal.write(Case(run_id, f"c{number}", "Why?"))
        score = make_score(f"t{number}", "groundedness", value, source="eval", created_at=at)
        journal.write(
            type(score)(
                **{
                    **{n: getattr(score, n) for n in score.__slots__},
                    "run_id": run_id,
                    "case_id": f"c{number}",
                }
            )
        )
    journal.write(Run(run_id, "pm", "f", f"{prompt} · m", "finished", at, at, prompt=prompt, model="m"))


def test_an_evalset_that_fell_after_a_deployment_fires(journal: Journal, store: Store) -> None:
    run(journal, "r1", "answer@v1", NOW - timedelta(days=2), 1.0)
    run(journal, "trial", "answer@v9", NOW - timedelta(days=1), 0.1)
    run(journal, "r5", "answer@v5", NOW - timedelta(hours=1), 0.67)
    book = check(store, AlertWatch(prompts=("answer@v1", "answer@v5"), model="m"), now=NOW)
    fallen = book.standings["evalset_fall pm groundedness"]
    assert fallen.state == "firing"
    assert "groundedness went from 1.000 to 0.670 on 5 cases (prompt answer@v1 → answer@v5)" in fallen.text
    before = check(store, AlertWatch(prompts=("answer@v1",), model="m"), now=NOW)
    assert before.standings["evalset_fall pm groundedness"].calm_from == NOW
