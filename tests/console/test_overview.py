from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from console.dashboard import data, filters
from tests.console.console_server import page, shown
from tests.factories import make_score, make_trace
from traces.alerts import standing
from traces.alerts.standing import Standing, State
from traces.journal import Journal
from traces.queries import overview
from traces.queries.overview import Totals
from traces.records import Record, Trace, Usage
from traces.store import Store, StoreHealth

NOW = datetime.now(UTC)
TILE = re.compile(r"<dt>([^<]*)<.*?<dd><b>([^<]*)</b>(?:<span[^>]*>([^<]*)</span>)?</dd>")


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


def write(folder: Path, *records: Record) -> None:
    journal = Journal(folder / "journal")
    for record in records:
        journal.write(record)
    journal.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    return tmp_path


def priced(cost: float | None, model: str = "openai:gpt-6-luna", **columns: Any) -> Trace:
    trace = make_trace(cost_usd=cost, model=model, **columns)
    usage = Usage(trace.turn.turn_id, 1, "answer", model, 100, 10, cost_usd=cost)
    return Trace(trace.turn, trace.payload, trace.spans, trace.passages, (usage,))


def totals(folder: Path, range_name: str = "24h", door: str = "production") -> Totals:
    window = filters.window(range_name, door, NOW + timedelta(seconds=5))
    with Store(folder).read() as ledger:
        return overview.totals(ledger, window)


def test_facts_count_what_happened_and_leave_out_what_was_not_measured(folder: Path) -> None:
    write(
        folder,
        make_trace(started_at=ago(hours=1), seconds=1.0, hit=True),
        make_trace(started_at=ago(hours=2), seconds=3.0, hit=False, outcome="no_context"),
        make_trace(
            started_at=ago(hours=3), seconds=2.0, hit=None, outcome="refused", first_token_seconds=None
        ),
        make_trace(started_at=ago(hours=4), seconds=2.0, hit=True, outcome="failed"),
        make_trace(started_at=ago(hours=30), seconds=9.0),
    )
    day = totals(folder)
    assert day.turns == 4
    assert day.searched == 3
    assert day.hit_rate == pytest.approx(2 / 3)
    assert day.error_rate == pytest.approx(1 / 4)
    assert day.latency_p95 == pytest.approx(2.85, rel=0.01)


@pytest.mark.parametrize(("door", "turns"), [("production", 2), ("eval", 1), ("chat", 1), ("all", 4)])
def test_eval_and_replay_turns_are_no_production(folder: Path, door: str, turns: int) -> None:
    doors = ("chat", "api", "eval", "replay")
    write(folder, *(make_trace(started_at=ago(hours=1), door=name) for name in doors))
    assert totals(folder, door=door).turns == turns


def test_an_unpriced_turn_is_counted_apart_and_never_free(folder: Path) -> None:
    write(
        folder,
        priced(0.02, conversation_id="a", started_at=ago(hours=1)),
        priced(0.04, conversation_id="a", started_at=ago(hours=1)),
        priced(None, "local:mystery", conversation_id="b", started_at=ago(hours=1)),
        make_trace(
            conversation_id="c", started_at=ago(hours=1), cost_usd=None, attempts=None, outcome="refused"
        ),
    )
    window = filters.window("24h", "production")
    with Store(folder).read() as ledger:
        assert overview.totals(ledger, window).unpriced == 1
        per_conversation = overview.cost_per_conversation(ledger, window)
        by_model = {row.model: row for row in overview.cost_by_model(ledger, window, 3600)}
    assert (per_conversation.cost_usd, per_conversation.conversations) == (pytest.approx(0.03), 2)
    assert by_model["local:mystery"].cost_usd is None
    assert by_model["local:mystery"].unpriced == 1


def test_the_last_word_of_a_user_is_the_rating(folder: Path) -> None:
    trace = make_trace(started_at=ago(hours=1))
    other = make_trace(started_at=ago(hours=1))
    key = trace.turn.turn_id
    write(
        folder,
        trace,
        other,
        make_score(key, value=1.0, user_id="ada", created_at=ago(minutes=50)),
        make_score(key, value=-1.0, user_id="ada", created_at=ago(minutes=40)),
        make_score(other.turn.turn_id, value=1.0, user_id="bob", created_at=ago(minutes=40)),
    )
    with Store(folder).read() as ledger:
        thumbs = overview.thumbs(ledger, filters.window("24h", "production"))
    assert (thumbs.rated, thumbs.up_share) == (2, pytest.approx(0.5))


def test_the_series_covers_the_window_and_marks_what_is_absent(folder: Path) -> None:
    write(folder, make_trace(started_at=ago(minutes=5)), make_trace(started_at=ago(hours=20)))
    page("overview")
    seen = data.read_overview("24h", "production")
    column = seen.column("turns")
    assert len(column) == len(seen.times) == 25  # whole hours: the first one and the one that goes on
    assert sum(value for value in column if value is not None) == 2
    assert column.count(None) == 23


def test_the_page_shows_eight_facts_with_their_change(folder: Path) -> None:
    now = [make_trace(started_at=ago(hours=hour), seconds=1.2, door="chat") for hour in range(1, 9)]
    before = [make_trace(started_at=ago(hours=30), seconds=1.0, door="chat") for _ in range(4)]
    write(folder, *now, *before)
    app = page("overview", range="24h")
    assert not app.exception
    values = {name: (value, change) for name, value, change in TILE.findall(shown(app))}
    assert list(values) == [
        "Turns",
        "First token p50",
        "First token p95",
        "Latency p95",
        "Retrieval hit rate",
        "Error rate",
        "Cost per conversation",
        "Thumbs-up share",
    ]
    assert values["Turns"] == ("8", "▲ +100.0%")
    assert values["Latency p95"] == ("1.20 s", "▲ +19.6%")  # out of a histogram: within 1 %
    assert values["Retrieval hit rate"][0] == "100.0%"
    assert values["Thumbs-up share"][0] == "—"
    assert "data up to" in shown(app)


def test_unpriced_turns_are_named_with_a_link(folder: Path) -> None:
    write(folder, priced(None, "local:mystery", started_at=ago(minutes=5)))
    html = shown(page("overview", range="24h"))
    assert "unpriced: 1 turns (mystery)" in html
    assert "/turns?unpriced=true&amp;last=24h" in html


def test_every_outcome_links_to_its_turns(folder: Path) -> None:
    write(folder, make_trace(started_at=ago(minutes=5)), make_trace(started_at=ago(minutes=6), outcome="cut"))
    html = shown(page("overview", range="24h"))
    assert "1 · 50.0%" in html
    assert "/turns?outcome=cut&amp;last=24h&amp;via=production" in html


def test_a_ledger_that_is_not_whole_says_so() -> None:
    trouble = StoreHealth(2, (), None, None, "no space left on device")
    notes = data._notes(trouble, 7_000_000)
    assert "no space left on device" in notes[0]
    assert "7 MB" in notes[1] and "answerdeck traces drain" in notes[1]
    assert "2 damaged journal lines" in notes[2]
    assert data._notes(StoreHealth(0, (), 1, NOW, None), 0) == []


def test_an_empty_ledger_says_where_to_ask(folder: Path) -> None:
    app = page("overview")
    assert not app.exception and not app.error
    assert "No turns yet" in shown(app)
    assert "http://127.0.0.1:7860" in shown(app)


def test_an_empty_range_says_when_the_newest_turn_was(folder: Path) -> None:
    write(folder, make_trace(started_at=ago(days=3)))
    html = shown(page("overview", range="1h"))
    assert "No production turns in the last 1h" in html


def test_a_damaged_store_is_a_banner_with_the_next_step(folder: Path) -> None:
    (folder / "traces.duckdb").write_bytes(b"this is no database" * 1000)
    app = page("overview")
    assert not app.exception
    assert "cannot be read" in app.error[0].value
    assert "answerdeck traces drain" in app.error[0].value


def test_a_broken_configuration_is_a_banner_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_MODELS__PRIMARY", "nonsense")
    app = page("overview")
    assert not app.exception
    assert "configuration" in app.error[0].value


def test_what_fires_is_said_in_the_alerts_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    journal = Journal(tmp_path / "journal")
    journal.write(make_trace(started_at=datetime.now(UTC), door="chat"))
    journal.close()
    assert 'role="alert"' not in shown(page("overview"))
    link = "http://elsewhere:8501/turns?missed=true&since=2026-11-23T00:00:00"
    with standing.keeping(tmp_path) as book:
        states: dict[str, State] = {"hit_rate": "firing", "error_rate": "resolved", "traffic": "firing"}
        for key, state in states.items():
            text = f"<b>{key}</b> of $x$"
            book.standings[key] = Standing(key, key, state, text=text, link=link, began=datetime.now(UTC))
        book.mutes["traffic"] = datetime.now(UTC) + timedelta(hours=1)
    html = shown(page("overview"))
    assert "&lt;b&gt;hit_rate&lt;/b&gt; of $x$" in html and html.count('role="alert"') == 1
    assert 'href="/turns?missed=true&amp;since=2026-11-23T00:00:00"' in html
