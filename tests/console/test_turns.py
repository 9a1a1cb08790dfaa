from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from console.dashboard import bases, markup, turn_parts, waterfall
from console.dashboard.views import turns
from tests.console.console_server import page, shown
from tests.factories import make_passage, make_score, make_trace
from traces.journal import Journal
from traces.queries import listing
from traces.queries.listing import Filter
from traces.records import Record, Span, Trace
from traces.store import Store

NOW = datetime.now(UTC)
HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    return tmp_path


def write(folder: Path, *records: Record) -> None:
    journal = Journal(folder / "journal")
    for record in records:
        journal.write(record)
    journal.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("busy")
    write(folder, *traffic())
    Store(folder).drain()  # what is in the journal alone is read in the tests with a folder of their own
    return folder


@pytest.fixture
def busy(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module's data folder with some turns, to read."""
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(shared))
    return shared


def traffic() -> list[Record]:
    def turn(number: int, **columns: Any) -> Trace:
        at = NOW - timedelta(minutes=10 * number)
        return make_trace(**{"started_at": at, "question": f"question {number}", "door": "chat", **columns})

    down = turn(3, answer="50% of snake_case\\paths")
    return [
        turn(1, outcome="failed", model="openai:gpt-6-luna", seconds=9.0),
        turn(2, prompt="answer@v2", user_id="bob"),
        down,
        make_score(down.turn.turn_id, value=-1.0, user_id="ada"),
        turn(4, door="eval", run_id="run-1"),
        turn(5, cost_usd=None, hit=False),
        turn(6, question="How do I print ON both sides?"),
    ]


@pytest.mark.parametrize(
    ("columns", "questions"),
    [
        ({}, [1, 2, 3, 5, 6]),
        ({"outcome": "failed"}, [1]),
        ({"errors": True}, [1]),
        ({"model": "openai:gpt-6-luna"}, [1]),
        ({"min_seconds": 5.0}, [1]),
        ({"prompt": "answer@v2"}, [2]),
        ({"user_id": "bob"}, [2]),
        ({"rating": "down"}, [3]),
        ({"rating": "none"}, [1, 2, 5, 6]),
        ({"rating": "up"}, []),
        ({"missed": True}, [5]),
        ({"unpriced": True}, [5]),
        ({"doors": ("eval",)}, [4]),
        ({"doors": ("eval",), "run_id": "run-1"}, [4]),
        ({"text": "on both SIDES"}, [6]),
        ({"text": "50% of snake_case\\"}, [3]),
        ({"text": "5_%"}, [5]),
        ({"text": "nowhere"}, []),
        ({"text": "?!"}, []),
    ],
)
def test_each_filter_keeps_what_it_names(busy: Path, columns: dict[str, Any], questions: list[int]) -> None:
    which = Filter(since=NOW - timedelta(days=1), until=NOW + timedelta(minutes=1), **columns)
    with Store(busy).read() as ledger:
        rows = listing.page(ledger, which, 25, 0)
        matching = listing.count(ledger, which)
    minutes = [round((NOW - row.started_at).total_seconds() / 600) for row in rows]
    assert minutes == questions  # newest first
    assert matching == len(questions)


def test_pages_follow_each_other_without_gap(busy: Path) -> None:
    which = Filter(since=NOW - timedelta(days=1), until=NOW + timedelta(minutes=1))
    with Store(busy).read() as ledger:
        pages = [listing.page(ledger, which, 2, offset) for offset in (0, 2, 4)]
    ids = [row.turn_id for rows in pages for row in rows]
    assert len(ids) == len(set(ids)) == 5


def test_a_turn_is_found_by_either_end_of_its_id(folder: Path) -> None:
    trace = make_trace(started_at=NOW)
    write(folder, trace)
    key = trace.turn.turn_id
    with Store(folder).read() as ledger:
        assert listing.named(ledger, key[:13].upper()) == [key]
        assert listing.named(ledger, key[-8:]) == [key]
        assert listing.named(ledger, "%") == []


def test_the_list_shows_the_turns_of_the_address(busy: Path) -> None:
    app = page("turns", last="24h", outcome="failed")
    html = shown(app)
    assert not app.exception
    assert "question 1" in html and "question 2" not in html
    assert app.caption[-1].value == "1 turn, newest first"


def test_an_alert_link_narrows_to_its_time_span(busy: Path) -> None:
    since, until = (NOW - timedelta(minutes=25)).isoformat(), (NOW - timedelta(minutes=15)).isoformat()
    html = shown(page("turns", since=since, until=until))
    assert "question 2" in html and "question 1" not in html
    assert "show all" in html


def test_no_match_says_what_to_do(busy: Path) -> None:
    assert "Loosen a filter" in shown(page("turns", q="nothing like it"))


def test_text_of_users_is_never_markup(folder: Path) -> None:
    trace = make_trace(started_at=NOW, question=HOSTILE, answer=HOSTILE, user_id=HOSTILE, model=HOSTILE)
    write(folder, trace, make_score(trace.turn.turn_id, reason=HOSTILE))
    for app in (page("turns"), page("turns", turn=trace.turn.turn_id), page("turns", turn=HOSTILE)):
        assert not app.exception
        assert "<script" not in shown(app) and "<img" not in shown(app)
        assert "&lt;script&gt;" in shown(app)


def test_the_turn_page_shows_all_that_is_recorded(folder: Path) -> None:
    trace = make_trace(started_at=NOW, standalone="turn on bounce keys", conversation_id="c1")
    later = make_trace(started_at=NOW + timedelta(seconds=9), conversation_id="c1")
    write(folder, trace, later, make_score(trace.turn.turn_id, value=-1.0, reason="wrong page"))
    app = page("turns", turn=trace.turn.turn_id)
    html = shown(app)
    assert not app.exception
    assert [tab.label for tab in app.tabs] == [
        "Answer",
        "Prompt",
        "Raw response",
        "Passages (1)",
        "Versions",
        "Usages (1)",
        "Scores (1)",
    ]
    for piece in (
        "How do I turn on bounce keys?",
        "turn on bounce keys",
        "SYSTEM\nAnswer.",
        "answer@v1 · 0123abcd",
        "Document 1",
        "0.700",
        "wrong page",
        "turn 1 of 2 in the conversation",
        f"/turns?turn={later.turn.turn_id}",
        "▼ down",
    ):
        assert piece in html


def test_where_a_document_was_lost_is_one_sentence(folder: Path) -> None:
    trace = make_trace(started_at=NOW)
    write(folder, trace)
    app = page("turns", turn=trace.turn.turn_id)
    app.selectbox(key=f"blame-{trace.turn.turn_id}").set_value("doc-1").run()
    next(one for one in app.button if one.label == "Where was it lost?").click().run(timeout=60)
    assert not app.exception
    assert app.info[0].value == "**cited** It was cited, as passage 1."


def test_a_document_that_was_no_candidate_is_chosen_by_its_title(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bases, "titles", lambda kb: {"wifi": f"Hidden networks of {kb}"})
    trace = make_trace(started_at=NOW, kb="manuals")
    write(folder, trace)
    app = page("turns", turn=trace.turn.turn_id)
    choice = app.selectbox(key=f"blame-{trace.turn.turn_id}")
    assert not [option for option in choice.options if "Hidden networks" in option]
    app.toggle(key=f"blame-all-{trace.turn.turn_id}").set_value(True).run()
    options = app.selectbox(key=f"blame-{trace.turn.turn_id}").options
    assert (options[0], options[-1]) == ("1. Document 1", "Hidden networks of manuals")


def test_an_unknown_turn_is_said_calmly(folder: Path) -> None:
    app = page("turns", turn="0192-nope")
    assert not app.exception
    assert "No such turn" in shown(app)


def test_citations_become_links_to_the_passages_that_exist() -> None:
    html = turn_parts.cited("Open it [1]. Or not [7]. <b>", [make_passage(n=1)])
    assert 'href="#passage-1"' in html
    assert "[7]" in html
    assert "&lt;b&gt;" in html


def test_the_trace_downloads_as_json() -> None:
    trace = make_trace()
    read = json.loads(turn_parts.json_of(trace))
    assert read["turn"]["turn_id"] == trace.turn.turn_id
    assert read["passages"][0]["title"] == "Document 1"


def spans(*rows: tuple[int, int | None, str, float, float]) -> Trace:
    trace = make_trace()
    made = tuple(
        Span("t", key, parent, name, "retrieval", start, length, {})
        for key, parent, name, start, length in rows
    )
    return Trace(trace.turn, trace.payload, made)


def test_the_waterfall_reads_as_a_tree_and_opens_the_longest_step() -> None:
    trace = spans(
        (0, None, "turn", 0, 1.0),
        (2, 0, "answer", 0.3, 0.7),
        (1, 0, "search", 0.0, 0.3),
        (3, 1, "embed", 0.0, 0.1),
    )
    html = waterfall.render(trace)
    names = [html.index(f'<span class="name">{name}') for name in ("turn", "search", "embed", "answer")]
    assert names == sorted(names)
    assert "--depth:2" in html
    assert 'value="2" checked' in html


def test_the_step_of_a_model_says_how_its_answer_was_chosen() -> None:
    trace = spans((0, None, "turn", 0, 1.0))
    trace = replace(trace, spans=(replace(trace.spans[0], attributes={"chosen_by": "cross-encoder"}),))
    assert "<th>chosen by</th><td>cross-encoder</td>" in waterfall.render(trace)


def test_a_broken_tree_still_shows_every_step_once() -> None:
    html = waterfall.render(
        spans((0, None, "turn", 0, 0.0), (1, 99, "orphan", 0.0, 0.0), (2, 2, "selfish", 0.0, 0.0))
    )
    assert all(html.count(f'<span class="name">{name}') == 1 for name in ("turn", "orphan", "selfish"))
    assert "No steps" in waterfall.render(spans())


def test_addresses_leave_out_what_is_missing_and_escape_the_rest() -> None:
    assert markup.address("turns", turn=None, q="a&b") == "/turns?q=a%26b"
    assert markup.address("compare", runs=["x", "y"]) == "/compare?runs=x&runs=y"
    assert turns.table([], {}).count("<tr>") == 1


def test_each_sentence_of_an_answer_shows_what_supports_it(folder: Path) -> None:
    text = "Open <b>Settings</b>. Press the key."
    sentences = [
        {"text": "Open Settings [1].", "support": "supported", "strength": 0.91, "citations": [1],
         "evidence": {"n": 1, "start": 0, "end": 20}, "reasons": []},
        {"text": "It costs <i>$9</i>.", "support": "unsupported", "strength": 0.1, "citations": [],
         "evidence": None, "reasons": ["the number 9 is in no passage"]},
        {"text": "Odd.", "support": "new kind", "strength": None, "evidence": {"n": 7}},
    ]  # fmt: skip
    checked = {
        "policy": "retract",
        "sentences": sentences,
        "removed": [{"text": "Gone.", "reasons": ["why"]}],
    }
    facts = {"summary": "They <i>paint</i>.", "facts": [{"text": "Has a cat", "turn_id": "0192-abc"}]}
    trace = make_trace(started_at=NOW)
    key = trace.turn.turn_id
    more = (Span(key, 2, 0, "check answer", "guard", 0.0, 0.0, checked),
            Span(key, 3, 0, "recall", "memory", 0.0, 0.0, facts))  # fmt: skip
    passages = (make_passage(key, n=1, text=text),)
    write(folder, Trace(trace.turn, trace.payload, (*trace.spans, *more), passages, trace.usages))
    html = shown(page("turns", turn=key))
    for piece in ("✓ supported", "“Open &lt;b&gt;Settings&lt;/b&gt;”", "✕ unsupported", "the number 9 is in",
                  "$9&lt;/i&gt;", "new kind", "not kept any more", "taken back", "<s>Gone.</s>", "Has a cat",
                  "They &lt;i&gt;paint", "/turns?turn=0192-abc", "retract"):  # fmt: skip
        assert piece in html, piece
    plain = make_trace(started_at=NOW)
    write(folder, plain)
    html = shown(page("turns", turn=plain.turn.turn_id))
    assert "No sentence of this answer was checked" in html and "Remembered" not in html
