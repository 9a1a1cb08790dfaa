"""Both engines give the same answer to every question there is, over the same made-up month."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import traces.queries
from evalsets.sorting import Sorter
from tests import synthetic
from tests.databases import Databases
from tests.factories import make_score, make_trace
from traces.journal import Journal
from traces.ledger import Ledger
from traces.queries import (
    asked,
    board,
    caches,
    conversations,
    costs,
    free,
    hours,
    listing,
    measured,
    overview,
    persons,
    refusals,
    relevant,
    reviews,
    rolled,
    runs,
    sample,
    searches,
    sides,
    sortings,
    traffic,
    turns,
    versions,
    watch,
    window,
)
from traces.queries.window import Window
from traces.records import Record, Span
from traces.store import Store

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
MONTH = Window(NOW - timedelta(days=30), NOW + timedelta(days=1))
SINCE, UNTIL = MONTH.since, MONTH.until
DAY = 86_400
CLOSED = replace(MONTH.hours, until=NOW.replace(hour=0))
EVERYBODY = listing.Filter(SINCE, UNTIL)


@dataclass(frozen=True)
class Known:
    """Ids of the month that questions are asked about."""

    turn_ids: list[str]
    conversation_ids: list[str]
    started_at: datetime  # of the first turn
    user_id: str
    run_ids: list[str]
    case_ids: list[str]
    scorer: str


def known(ledger: Ledger) -> Known:
    newest = ledger.rows("select * from turns order by started_at desc, turn_id limit 40")
    made = ledger.rows("select run_id from runs order by run_id")
    cases = ledger.rows("select distinct case_id from cases order by case_id limit 5")
    (judge,) = ledger.rows(
        "select max(scorer) as scorer from scores where run_id = $run", run=made[0]["run_id"]
    )
    return Known(
        [row["turn_id"] for row in newest],
        [row["conversation_id"] for row in newest],
        newest[0]["started_at"],
        newest[0]["user_id"],
        [row["run_id"] for row in made],
        [row["case_id"] for row in cases],
        judge["scorer"],
    )


def of_many(ledger: Ledger) -> list[sample.Draw] | None:
    """Return turns by chance, as if there were too many to look at all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "MANY", 1)
        return sample.draws(ledger, MONTH.doors, "3", 20, 2)


def filters(which: listing.Filter) -> list[listing.Filter]:
    """Return every way of filtering, one at a time and some together."""
    changes: list[dict[str, Any]] = [
        {},
        {"outcome": "refused"},
        {"model": "openai:gpt-6-luna", "min_seconds": 1.5},
        {"prompt": "answer@v2", "errors": True},
        {"missed": True},
        {"unpriced": True},
        {"rating": "up"},
        {"rating": "down"},
        {"rating": "none", "user_id": "user-007"},
        {"text": "100%"},
        {"text": "ÉLÈVE"},
        {"text": "key"},
    ]
    return [replace(which, **change) for change in changes]


Ask = Callable[[Ledger, Known], Any]
WHICH = conversations.Which(MONTH)
PEOPLE = (WHICH, replace(WHICH, unhappy=True), replace(WHICH, ending="refused"), replace(WHICH, text="key"))
QUESTIONS: dict[str, Ask] = {
    "listing.look": lambda ledger, _: [
        replace(listing.look(ledger, one, 25, 3), more=False) for one in filters(EVERYBODY)
    ],
    "board.board": lambda ledger, _: [board.board(ledger, one, DAY) for one in (MONTH, CLOSED)],
    "rolled.histograms": lambda ledger, _: rolled.histograms(ledger, CLOSED, DAY),
    "window.ends": lambda ledger, _: window.ends(ledger, SINCE, UNTIL),
    "hours.counts": lambda ledger, _: [hours.counts(ledger, one) for one in filters(EVERYBODY)],
    "listing.matching": lambda ledger, _: listing.matching(ledger, EVERYBODY),
    "listing.conversations": lambda ledger, _: [
        sorted(listing.conversations(ledger, one)) for one in filters(EVERYBODY)
    ],
    "free.ask": lambda ledger, _: (
        free.ask(
            ledger,
            "select outcome, count(*) as n from turns where question like '%e%' group by 1 order by 1;",
        ).rows
    ),
    "asked.questions": lambda ledger, _: asked.questions(ledger, MONTH, 300),
    "asked.leaving": lambda ledger, _: asked.leaving(ledger, MONTH),
    "asked.sorted_ones": lambda ledger, _: asked.sorted_ones(ledger, SINCE, UNTIL, 40),
    "asked.places": lambda ledger, k: asked.places(ledger, k.turn_ids),
    "caches.served": lambda ledger, _: caches.served(ledger, SINCE, UNTIL),
    "conversations.page": lambda ledger, _: [conversations.page(ledger, one, 30, 5) for one in PEOPLE],
    "conversations.count": lambda ledger, _: [conversations.count(ledger, one) for one in PEOPLE],
    "conversations.talk": lambda ledger, k: [
        conversations.talk(ledger, one) for one in k.conversation_ids[:5]
    ],
    "costs.by_day": lambda ledger, _: costs.by_day(ledger, MONTH),
    "costs.users": lambda ledger, _: costs.users(ledger, MONTH),
    "costs.resolved": lambda ledger, _: costs.resolved(ledger, MONTH),
    "costs.routes": lambda ledger, _: costs.routes(ledger, MONTH),
    "costs.calls": lambda ledger, _: sorted(costs.calls(ledger, MONTH, 50), key=str),
    "costs.per_turn": lambda ledger, _: costs.per_turn(ledger, MONTH),
    "listing.page": lambda ledger, _: [listing.page(ledger, one, 25, 3) for one in filters(EVERYBODY)],
    "listing.count": lambda ledger, _: [listing.count(ledger, one) for one in filters(EVERYBODY)],
    "listing.choices": lambda ledger, _: listing.choices(ledger, SINCE, UNTIL),
    "listing.named": lambda ledger, k: [
        listing.named(ledger, k.turn_ids[0][:6]),
        listing.named(ledger, "_%"),
    ],
    "listing.conversation": lambda ledger, k: listing.conversation(
        ledger, k.conversation_ids[0], k.started_at
    ),
    "listing.ratings": lambda ledger, _: listing.ratings(
        ledger, [row.turn_id for row in listing.page(ledger, replace(EVERYBODY, rating="up"), 9, 0)]
    ),
    "measured.groups": lambda ledger, _: sorted(
        measured.groups(ledger, MONTH.hours, versions.Live, ("prompt",), "prompt is not null"),
        key=lambda live: live.prompt,
    ),
    "overview.totals": lambda ledger, _: overview.totals(ledger, MONTH),
    "overview.cost_per_conversation": lambda ledger, _: overview.cost_per_conversation(ledger, MONTH),
    "overview.thumbs": lambda ledger, _: overview.thumbs(ledger, MONTH),
    "overview.series": lambda ledger, _: overview.series(ledger, MONTH, DAY),
    "overview.thumbs_series": lambda ledger, _: overview.thumbs_series(ledger, MONTH, DAY),
    "overview.cost_by_model": lambda ledger, _: overview.cost_by_model(ledger, MONTH, DAY),
    "overview.outcomes": lambda ledger, _: overview.outcomes(ledger, MONTH),
    "overview.newest": lambda ledger, _: overview.newest(ledger),
    "overview.workspaces": lambda ledger, _: overview.workspaces(ledger),
    "overview.models": lambda ledger, _: overview.models(ledger),
    "persons.turns": lambda ledger, k: sorted(persons.turns(ledger, k.user_id), key=str),
    "persons.cases": lambda ledger, _: sorted(persons.cases(ledger), key=str),
    "persons.asked_again": lambda ledger, k: sorted(persons.asked_again(ledger, k.case_ids, ["How?"])),
    "persons.shared": lambda ledger, _: persons.shared(ledger, "nobody", [], ["the key", "a lock"]),
    "persons.left": lambda ledger, k: [
        persons.left(ledger, table, k.user_id, k.turn_ids, k.case_ids) for table in persons.LEFT
    ],
    "refusals.overrides": lambda ledger, _: refusals.overrides(ledger),
    "relevant.candidates_of": lambda ledger, k: [relevant.candidates_of(ledger, one) for one in k.run_ids],
    "reviews.queue": lambda ledger, _: [
        reviews.queue(ledger, "thumbs_down", reviewer="ada", doors=MONTH.doors),
        reviews.queue(ledger, "low_groundedness", reviewer="ada", doors=MONTH.doors),
        reviews.queue(ledger, "disagreement", reviewer="ada", doors=MONTH.doors),
        reviews.queue(ledger, "random", reviewer="ada", doors=MONTH.doors, seed=3),
    ],
    "reviews.given": lambda ledger, _: reviews.given(ledger),
    "rolled.conversations": lambda ledger, _: rolled.conversations(ledger, MONTH.hours),
    "rolled.cost_per_conversation": lambda ledger, _: rolled.cost_per_conversation(ledger, MONTH.hours),
    "rolled.cost_by_model": lambda ledger, _: rolled.cost_by_model(ledger, MONTH.hours, DAY),
    "runs.runs": lambda ledger, _: [runs.runs(ledger), runs.runs(ledger, evalset="demo", limit=2)],
    "runs.run": lambda ledger, k: [runs.run(ledger, "latest"), runs.run(ledger, k.run_ids[0])],
    "runs.scores_by": lambda ledger, k: runs.scores_by(ledger, k.run_ids[0], k.scorer),
    "runs.scores_of": lambda ledger, k: [runs.scores_of(ledger, one) for one in k.run_ids],
    "runs.cases_of": lambda ledger, k: [runs.cases_of(ledger, one) for one in k.run_ids],
    "runs.passages_of": lambda ledger, k: [runs.passages_of(ledger, one) for one in k.run_ids],
    "runs.scored_by": lambda ledger, k: runs.scored_by(ledger, k.run_ids[0], k.scorer),
    "runs.turns_of": lambda ledger, k: [runs.turns_of(ledger, one) for one in k.run_ids],
    "runs.price_versions": lambda ledger, k: runs.price_versions(ledger, k.run_ids[0]),
    "runs.history": lambda ledger, _: runs.history(ledger, "demo", runs.metrics(ledger, "demo")[0]),
    "runs.metrics": lambda ledger, _: runs.metrics(ledger, "demo"),
    "searches.hit_rate": lambda ledger, _: searches.hit_rate(ledger, MONTH),
    "searches.scores": lambda ledger, _: searches.scores(ledger, MONTH),
    "searches.stages": lambda ledger, _: searches.stages(ledger, MONTH),
    "sample.draws": lambda ledger, _: of_many(ledger),
    "searches.versions": lambda ledger, _: searches.versions(ledger, MONTH),
    "sides.sides": lambda ledger, _: sides.sides(ledger, MONTH),
    "traffic.exchanges": lambda ledger, _: traffic.exchanges(ledger, "default", SINCE, UNTIL),
    "traffic.conversations": lambda ledger, k: traffic.conversations(ledger, k.conversation_ids),
    "sortings.sorting": lambda ledger, _: (
        (stored := sortings.sorting(ledger)) and (stored.turns, stored.words)
    ),
    "sortings.topics": lambda ledger, _: sortings.topics(ledger),
    "sortings.labels": lambda ledger, _: sortings.labels(ledger),
    "sortings.unsorted": lambda ledger, _: sortings.unsorted(ledger),
    "sortings.lacking": lambda ledger, _: sortings.lacking(ledger, 1, SINCE),
    "sortings.to_sort": lambda ledger, _: sorted(
        sortings.to_sort(ledger, 1, [row.hour for row in sortings.lacking(ledger, 1, SINCE)], 9), key=str
    ),
    "sortings.wordings": lambda ledger, _: sortings.wordings(ledger, MONTH, "g", 50),
    "sortings.sums": lambda ledger, _: [sortings.sums(ledger, which) for which in (MONTH, CLOSED)],
    "sortings.of_topic": lambda ledger, _: [
        sortings.of_topic(ledger, MONTH, topic, 9) for topic in (1, None)
    ],
    "sortings.missing": lambda ledger, _: sortings.missing(ledger, MONTH, 20),
    "turns.trace": lambda ledger, k: turns.trace(ledger, k.turn_ids[0]),
    "turns.traces": lambda ledger, k: turns.traces(ledger, k.turn_ids),
    "versions.live": lambda ledger, _: versions.live(ledger, "answer", SINCE, UNTIL),
    "watch.counts": lambda ledger, _: sorted(
        watch.counts(ledger, MONTH, DAY, turn_seconds=4.0, first_token_seconds=1.0),
        key=lambda row: row.step,
    ),
    "watch.thumbs": lambda ledger, _: sorted(watch.thumbs(ledger, MONTH, DAY), key=str),
    "watch.scored": lambda ledger, _: sorted(watch.scored(ledger, MONTH, DAY), key=str),
    "watch.conversations": lambda ledger, _: sorted(
        watch.conversations(ledger, MONTH, DAY), key=lambda row: row.step
    ),
    "watch.unpriced": lambda ledger, _: watch.unpriced(ledger, MONTH),
    "watch.changes": lambda ledger, _: watch.changes(ledger, MONTH),
    "watch.finished": lambda ledger, _: watch.finished(ledger, SINCE),
    "watch.paired": lambda ledger, k: watch.paired(ledger, k.run_ids[0], k.run_ids[2]),
}


@pytest.fixture(scope="module")
def month(
    postgres: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[tuple[Ledger, Ledger], Known]]:
    """A month in both engines, drained from one journal, its last turns still in the live tail."""
    folder: Path = tmp_path_factory.mktemp("month")
    synthetic.write(folder, 300, until=NOW, detailed=60)
    both = Store(folder), Store(folder, postgres.fresh())
    journal = Journal(folder / "journal")
    for number, text in enumerate(("Un élève: 100% sûr?", "a\x00b", "the key")):
        for record in late(number, text):
            journal.write(record)
        if number == 0:
            assert both[1].drain().lines > 300
            assert both[0].drain().lines == 4
            for store in both:
                Sorter(store).sort()
    journal.close()
    with both[0].read() as embedded, both[1].read() as shared:
        yield (embedded, shared), known(embedded)


def late(number: int, text: str) -> Iterator[Record]:
    """Yield a turn with what the made-up month lacks, and what people and judges said of it."""
    made = make_trace(
        started_at=NOW + timedelta(minutes=number), question=text, kb="default", cost_usd=None, route="cheap"
    )
    key, looked = made.turn.turn_id, {"hit": number > 0, "saved_seconds": 0.2, "q": text}
    cache = Span(key, 9, 0, "semantic cache", "cache", 0, 0.1, looked)
    yield replace(made, spans=(*made.spans, cache))
    yield make_score(key, "faithfulness", 0.1, source="reviewer", user_id="ada")
    yield make_score(key, "groundedness", 0.7, source="online")
    yield make_score(key, "feedback", -1.0, source="user", user_id="bob")


def test_every_question_is_asked_here() -> None:
    found = set()
    for module in pkgutil.iter_modules(traces.queries.__path__):
        members = vars(importlib.import_module(f"traces.queries.{module.name}")).items()
        found |= {
            f"{module.name}.{name}"
            for name, member in members
            if inspect.isfunction(member)
            and member.__module__ == f"traces.queries.{module.name}"
            and not name.startswith("_")
            and next(iter(inspect.signature(member).parameters), None) == "ledger"
        }
    assert found == set(QUESTIONS), "a new query function: ask it in QUESTIONS, of both engines"


@pytest.mark.parametrize("question", QUESTIONS)
def test_both_engines_answer_alike(month: tuple[tuple[Ledger, Ledger], Known], question: str) -> None:
    ledgers, ids = month
    embedded, shared = (plain(QUESTIONS[question](ledger, ids)) for ledger in ledgers)
    assert embedded not in ([], {}, None, set())
    assert shared == close(embedded)


def plain(value: Any) -> Any:
    """Return dataclasses as dicts, with the one character PostgreSQL cannot hold replaced."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.replace("\x00", "\ufffd") if isinstance(value, str) else value


def close(value: Any) -> Any:
    """Let floats differ by their last digits: sums depend on the order."""
    if isinstance(value, dict):
        return {key: close(item) for key, item in value.items()}
    if isinstance(value, list):
        return [close(item) for item in value]
    return pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
