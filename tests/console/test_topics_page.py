"""Topics, unanswered questions and conversations: the clusters, the to-do list, and who left where."""

from __future__ import annotations

from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalsets import assigned
from evalsets.sorting import Sorter
from evalsets.topics import NO_TOPIC, Gap, Topic, gaps, topics
from tests import synthetic
from tests.console.console_server import page, shown
from tests.factories import make_score, make_trace
from traces.ids import uuid7
from traces.journal import Journal
from traces.queries import asked
from traces.queries.window import Window
from traces.records import Trace
from traces.store import Store

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

NOW = datetime.now(UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    return tmp_path


def turn(question: str, conversation: str, hours: float, outcome: str = "answered", **columns: Any) -> Trace:
    return make_trace(
        turn_id=uuid7(), question=question, standalone=None, conversation_id=conversation,
        started_at=NOW - timedelta(hours=hours), outcome=outcome, door="chat", **columns,
    )  # fmt: skip


def write(folder: Path, *records: Any) -> None:
    journal = Journal(folder / "journal")
    for record in records:
        journal.write(record)
    journal.close()


def talk() -> list[Any]:
    return [
        turn("How do I reset my password?", "a", 5),
        turn("Where can I reset the password?", "b", 4),
        turn("Reset a forgotten password", "c", 3, "no_context"),
        turn("What does the ferry cost?", "a", 2, "no_context"),
        turn("What does a ferry ticket cost?", "d", 30),
        turn("Who painted this?", "e", 1, "refused"),
    ]


def press(app: AppTest, label: str) -> AppTest:
    return next(one for one in app.button if one.label == label).click().run()


WEEK = Window(NOW - timedelta(days=7), NOW + timedelta(seconds=5))


def sort(folder: Path, *, sorted: bool) -> None:
    """Let the drainer sort what was written, or leave it in the journal."""
    if sorted:
        Store(folder).drain()
        Sorter(Store(folder)).sort()


def read(folder: Path) -> tuple[list[Topic], list[Gap]]:
    with Store(folder).read() as ledger:
        return topics(ledger, WEEK).topics, gaps(ledger, WEEK)


@pytest.mark.parametrize("sorted", [False, True])
def test_questions_that_share_their_words_are_a_topic_named_by_them(folder: Path, sorted: bool) -> None:
    write(folder, *talk())
    sort(folder, sorted=sorted)
    first, second, rest = read(folder)[0]
    assert {"password", "reset"} <= set(first.name.split(" · "))
    assert (first.turns, first.unanswered) == (3, pytest.approx(1 / 3))
    assert {"ferry", "cost"} <= set(second.name.split(" · "))
    assert (rest.name, rest.refused) == (NO_TOPIC, 1.0)


@pytest.mark.parametrize("sorted", [False, True])
def test_a_topic_tells_thumbs_cost_and_who_left_on_it(folder: Path, sorted: bool) -> None:
    first, second = (
        turn("Reset the password", "a", 100, cost_usd=0.01),
        turn("Reset my password", "a", 5, cost_usd=0.03),
    )
    write(folder, first, second, make_score(first.turn.turn_id, "feedback", -1.0, source="user"))
    sort(folder, sorted=sorted)
    [topic] = read(folder)[0]
    assert (topic.down, topic.rated, topic.cost_usd) == (1.0, 1, pytest.approx(0.04))
    assert topic.left == pytest.approx(1 / 2)
    assert topic.change == pytest.approx(0.0)


@pytest.mark.parametrize("sorted", [False, True])
def test_a_gap_closes_by_itself_when_the_question_is_answered_later(folder: Path, sorted: bool) -> None:
    deep = turn("How deep is it?", "b", 3, "no_context")
    fare, again = (
        turn("What is the ferry fare?", "a", 3, "no_context"),
        turn("what is the FERRY fare", "c", 1),
    )
    write(folder, deep, fare)
    sort(folder, sorted=True)
    write(folder, again)
    sort(folder, sorted=sorted)
    still, closed = read(folder)[1]
    assert (still.question, still.answered) == ("How deep is it?", False)
    assert (closed.question, closed.answered, closed.times) == ("What is the ferry fare?", True, 1)
    assert (closed.first_id, closed.newest_id) == (fare.turn.turn_id, again.turn.turn_id)


def test_people_leave_after_the_turn_that_was_their_last(folder: Path) -> None:
    write(folder, *talk())
    with Store(folder).read() as ledger:
        rows = asked.leaving(ledger, Window(NOW - timedelta(days=7), NOW + timedelta(seconds=5)))
    assert [astuple(row) for row in rows] == [
        (1, 5, 4, 2),
        (2, 1, 1, 1),
    ]


def test_without_turns_the_pages_say_where_to_ask(folder: Path) -> None:
    for name in ("topics", "conversations"):
        app = page(name)
        assert not app.exception
        assert "No turns yet" in shown(app)


def test_an_unanswered_question_is_given_to_somebody_and_closed(folder: Path) -> None:
    write(folder, *talk())
    app = page("topics", topics_part="Unanswered")
    assert not app.exception
    assert shown(app).count(">open<") == 2
    app.text_input[0].set_value("ada").run()
    press(app, "Assign")
    assert "ada" in shown(app) and shown(app).count(">assigned<") == 1
    press(app, "Close")
    assert not app.exception
    assert shown(app).count(">closed<") == 1
    assert [row.closed for row in assigned.read(folder).values()] == [True]


def test_days_of_traffic_show_in_every_section(folder: Path) -> None:
    write(folder, *synthetic.history(200, days=3, detailed=200))
    for part in ("Topics", "Unanswered", "Where people leave"):
        app = page("topics", topics_part=part, topics_last="30d")
        assert not app.exception, part
        assert "<table" in shown(app), part


def test_a_conversation_reads_as_its_user_saw_it(folder: Path) -> None:
    write(folder, turn("Is <b>this</b> *bold*?", "a", 3, answer="No.", cost_usd=0.01),
          turn("Why?", "a", 2, "no_context", answer=None, cost_usd=None, attempts=None))  # fmt: skip
    listed = page("conversations")
    assert not listed.exception
    assert "conversation=a" in shown(listed) and "∅ no context" in shown(listed)
    app = page("conversations", conversation="a")
    assert not app.exception
    html = shown(app)
    assert html.index("Is &lt;b&gt;this&lt;/b&gt; *bold*?") < html.index("No.") < html.index("Why?")
    assert "No answer was shown." in html and "$0.01" in html


def test_conversations_are_narrowed_to_the_unhappy_ones_and_by_words(folder: Path) -> None:
    write(folder, *talk())
    html = shown(page("conversations", unhappy="true"))
    assert "conversation=a" in html and "conversation=b" not in html
    html = shown(page("conversations", words="forgotten"))
    assert "conversation=c" in html and "conversation=a" not in html
    assert "No conversation matches" in shown(page("conversations", words="100% nowhere"))


def test_a_conversation_that_is_gone_says_so(folder: Path) -> None:
    write(folder, *talk())
    assert "No such conversation" in shown(page("conversations", conversation="zzz"))
