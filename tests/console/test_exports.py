"""Downloads: every row however many, in pieces, nothing a spreadsheet would run, for those who may."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from console.dashboard import downloads, exports, markup
from pipeline.access.people import People
from pipeline.auth import Keys
from pipeline.http.middleware import COOKIE
from tests.factories import make_score, make_trace
from traces.errors import StoreBusy
from traces.journal import Journal
from traces.ledger import Ledger
from traces.queries import everything, listing
from traces.queries.conversations import Which
from traces.queries.filter import Filter
from traces.queries.window import Window
from traces.store import Store

NOW = datetime.now(UTC)
FORMULAS = ("=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1")
ALL = Filter(NOW - timedelta(days=2), NOW + timedelta(hours=1), ("chat", "api"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """23 turns, many of the same moment, some in the journal alone."""
    folder = tmp_path_factory.mktemp("exports")
    journal = Journal(folder / "journal")
    made = Store(folder)
    for number in range(23):
        turn = make_trace(
            question=f"{FORMULAS[number % 7]} why {number}", answer="a" * 400,
            started_at=NOW - timedelta(hours=number // 5),
            door="chat" if number % 3 else "api", conversation_id=f"c{number}",
            outcome="failed" if number % 2 else "answered",
        )  # fmt: skip
        journal.write(turn)
        if number == 3:
            journal.write(make_score(turn.turn.turn_id, value=-1.0))
        if number == 15:
            made.drain()
    journal.close()
    return made


@pytest.mark.parametrize(
    "which",
    [
        ALL,
        Filter(ALL.since, ALL.until, ("chat",), outcome="failed"),
        Filter(ALL.since, ALL.until, ALL.doors, text="why"),
        Filter(ALL.since, ALL.until, ALL.doors, rating="down"),
        Filter(ALL.since, ALL.until, ALL.doors, user_id="nobody"),
    ],
)
def test_pieces_of_any_size_are_the_whole_list_in_its_order(store: Store, which: Filter) -> None:
    (whole,) = everything.turns(store.read, which, 1_000)
    with store.read() as ledger:
        listed = listing.page(ledger, which, 99, 0)
    assert [row["turn_id"] for row in whole] == [row.turn_id for row in listed]
    pieces = list(everything.turns(store.read, which, 7))
    assert [row for piece in pieces for row in piece] == whole
    assert all(len(piece) <= 7 for piece in pieces)


def test_conversations_are_read_to_the_last(store: Store) -> None:
    which = Which(Window(ALL.since, ALL.until, ALL.doors))
    (whole,) = everything.talks(store.read, which, 1_000)
    assert len(whole) == 23
    assert [row for piece in everything.talks(store.read, which, 12) for row in piece] == whole


@pytest.fixture
def client(store: Store) -> Iterator[TestClient]:
    people = People(None, Keys(""))
    with TestClient(
        Starlette(routes=exports.routes(people, lambda workspace: store.read(workspace=workspace)))
    ) as client:
        client.app_state["people"] = people
        yield client
    people.close()


def test_an_address_of_a_page_streams_what_the_page_lists(client: TestClient) -> None:
    which = Filter(ALL.since, ALL.until, ("chat",), outcome="failed", text="why", errors=True)
    answer = client.get(f"/{exports.address('turns', which)}")
    assert answer.status_code == 200 and "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert len(rows) == 7 and {row["outcome"] for row in rows} == {"failed"}
    assert all(row["question"].startswith("'") and len(row["answer"]) == 400 for row in rows)
    talks = client.get(f"/{exports.address('conversations', Which(Window(ALL.since, ALL.until, ALL.doors)))}")
    assert talks.text.count("\r\n") == 24


@pytest.mark.parametrize(
    ("query", "field"),
    [("", "since"), ("since=x&until=2026-01-01T00:00:00Z", "since"),
     ("since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z&min_seconds=much", "min_seconds")],
)  # fmt: skip
def test_an_address_that_says_nonsense_is_refused_by_the_name_of_the_field(
    client: TestClient, query: str, field: str
) -> None:
    answer = client.get(f"/export/turns.csv?{query}")
    assert answer.status_code == 400 and answer.text.startswith(f"{field}: ")


def test_viewers_may_not_take_away_what_people_asked(client: TestClient) -> None:
    people: People = client.app_state["people"]
    people.add_user("vera", "viewer", "long enough password", "test")
    people.add_user("ed", "editor", "long enough password", "test")
    address = f"/{exports.address('turns', ALL)}"
    assert client.get(address).status_code == 403
    for name, status in (("vera", 403), ("ed", 200)):
        token = people.sign_in(name, "long enough password", "127.0.0.1")
        assert client.get(address, headers={"cookie": f"{COOKIE}={token}"}).status_code == status


def test_a_busy_store_is_a_sentence_before_anything_is_sent() -> None:
    def busy(_: str | None) -> Ledger:
        raise StoreBusy("it is held")

    people = People(None, Keys(""))
    with TestClient(Starlette(routes=exports.routes(people, busy))) as client:  # type: ignore[arg-type]
        answer = client.get(f"/{exports.address('turns', ALL)}")
    people.close()
    assert answer.status_code == 503 and "it is held" in answer.text


def test_a_download_has_every_row_and_no_formula() -> None:
    rows = [{"=head": text, "n": number} for number, text in enumerate(FORMULAS * 10_000)]
    pieces = list(downloads.lines([rows[:3], rows[3:]]))
    assert pieces[0].startswith(b"'=head,n\r\n'=1+1,0\r\n") and len(pieces) == 2
    read = list(csv.reader(io.StringIO(downloads.text(rows).decode(), newline="")))
    assert len(read) == 70_001 and all(row[0].startswith("'") for row in read)


def test_a_browser_gets_5000_rows_and_a_sentence() -> None:
    html = markup.table(["A"], [markup.row([markup.cell("x")])] * 5_001)
    assert html.count("<td>") == 5_000 and "The first 5,000 of 5,001 rows" in html
    assert "rows are drawn" not in markup.table(["A"], [markup.row([markup.cell("x")])] * 5_000)
