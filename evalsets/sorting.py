"""Sorts the stored turns into topics beside the drainer: new ones soon, all of a month after a new fit.

What it makes is a pure function of the rows and of the fit, so it can be taken away and made anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from evalsets.fitted import TopicFit, fit, restored
from traces import engine, rollups
from traces.drainer import Drained
from traces.errors import StoreError
from traces.queries import sortings
from traces.queries.sortings import Sorting, Wording
from traces.queries.window import Rows, Window
from traces.store import Store

SPAN = timedelta(days=31)  # what is sorted anew after a fit; no page asks for more
SAMPLE = 20_000  # turns that a fit looks at, about
PIECE = 5_000  # turns sorted in one window of the store
EVERY_SECONDS = 3.0  # between two looks while turns come in
GROWTH, AGE = 1.25, timedelta(days=1)  # so many times the turns, or so old with new ones: fitted anew
_LATEST = """
    insert into latest
    select words, door, started_at, turn_id, outcome
    from (
        select *, row_number() over (partition by words, door order by started_at desc, turn_id desc) as age
        from asked where words = any($words)
    ) as aged
    where age = 1
"""
log = logging.getLogger(__name__)


class Sorter:
    """Sorts the turns of one store. Only the process that drains it may."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._due = True
        self._next = 0.0
        self._fit: tuple[int, TopicFit] | None = None
        self._odd: set[datetime] = set()  # hours whose sums cannot agree, of damaged or doubled turns

    def tend(self, drained: Drained) -> None:
        """Do the next piece, when there is one and its time has come; never raises StoreError."""
        self._due = self._due or drained.windows > 0
        if not self._due or self._clock() < self._next:
            return
        began = self._clock()
        try:
            self._due = not self._step()
        except StoreError as error:
            log.info("sorting the questions waits: %s", error)
        took = self._clock() - began
        self._next = self._clock() + (max(took, 0.1) if self._due else max(took, EVERY_SECONDS))

    def sort(self) -> None:
        """Sort all there is; raises StoreError."""
        while self._store.engine.exists() and not self._step():
            pass

    def anew(self) -> None:
        """Forget the topics and sort all there is; raises StoreError."""
        if self._store.engine.exists():
            with self._store.engine.window() as window, window.transaction():
                rollups.forget_topics(window.shared)
            self._odd.clear()
            self.sort()

    def _step(self) -> bool:
        """Fit anew when it is time, or sort a piece; returns whether all is done."""
        if not self._store.engine.exists():
            return True
        with self._store.engine.window() as window:
            sample = _sample(window)
            if sample is None:
                with window.transaction():
                    return self._piece(window)
        fitted = fit(sample.wordings, sample.before)
        with self._store.engine.window() as window, window.transaction():
            window.alone()
            _keep(window, sample, fitted)
        return False

    def _piece(self, window: engine.StoreWindow) -> bool:
        window.alone()
        current = self._current(window)
        if current is None:
            return True
        number, placing = current
        lacking = sortings.lacking(window, number, datetime.now(UTC) - SPAN)
        hours = _first([hour for hour in lacking if hour.hour not in self._odd])
        if not hours:
            return True
        turns = sortings.to_sort(window, number, hours, PIECE)
        ids = [turn.turn_id for turn in turns]
        bound = {"ids": ids, "since": min(hours), "until": max(hours) + rollups.HOUR}
        for table in ("asked", "missing"):
            window.shared.execute(
                f"delete from {table} where turn_id = any($ids)"  # noqa: S608 - constants
                " and started_at >= $since and started_at < $until",
                bound,
            )
        places: dict[str, tuple[int | None, int]] = {}
        rows: list[tuple[Any, ...]] = []
        missing: list[tuple[Any, ...]] = []
        for turn in turns:
            if turn.question not in places:
                places[turn.question] = placing.place(turn.question)
            who = (turn.turn_id, turn.conversation_id, turn.started_at, turn.door, turn.outcome)
            topic, words = places[turn.question]
            rows.append((*who, topic, words, number))
            if turn.outcome == "no_context" and words:
                missing.append((*who[:4], words, turn.question))
        if rows:
            window.append({"asked": rows, "missing": missing})
            _renew(window, rows, {row[4] for row in missing})
        else:
            self._odd.update(hours)
        rollups.roll_topics(window.shared, {hour.astimezone(UTC) for hour in hours})
        return False

    def _current(self, window: engine.StoreWindow) -> tuple[int, TopicFit] | None:
        """Return the stored fit; read once for each number."""
        stored = sortings.sorting(window)
        if stored is None:
            return None
        if self._fit is None or self._fit[0] != stored.fit:
            self._fit = stored.fit, restored(stored, sortings.topics(window))
        return self._fit


@dataclass(frozen=True, slots=True)
class _Sample:
    """What a fit is made of: the wordings of a share of a window's turns, and the fit before it."""

    window: Window
    share: str
    number: int
    turns: int
    wordings: list[Wording]
    before: TopicFit | None

    def asked(self, rows: Rows) -> list[Wording]:
        return sortings.wordings(rows, self.window, self.share, SAMPLE)


def _sample(rows: Rows) -> _Sample | None:
    """Return what to fit topics to, when there is no fit or enough has come since; else None."""
    now, stored = datetime.now(UTC), sortings.sorting(rows)
    [row] = rows.rows("select count(*) as n from turns")
    turns = row["n"]
    if not turns or (stored and _fresh(stored, turns, now)):
        return None
    before = restored(stored, sortings.topics(rows)) if stored else None
    share = "g" if turns <= SAMPLE else f"{65_536 * SAMPLE // turns:04x}"
    window = Window(now - SPAN, now + timedelta(days=1))
    sample = _Sample(window, share, stored.fit + 1 if stored else 1, turns, [], before)
    return replace(sample, wordings=sample.asked(rows))


def _fresh(stored: Sorting, turns: int, now: datetime) -> bool:
    return turns < GROWTH * stored.turns and (turns <= stored.turns or now - stored.fitted_at < AGE)


def _keep(window: engine.StoreWindow, sample: _Sample, fitted: TopicFit) -> None:
    """Store a fit, unless somebody was erased while it was made."""
    there = {wording.question for wording in sample.asked(window)}
    if any(wording.question not in there for wording in sample.wordings):
        return
    words = orjson.dumps({"weights": fitted.weights, "unknown": fitted.unknown}).decode()
    for table in ("sortings", "topics"):
        window.shared.execute(f"delete from {table}")  # noqa: S608 - constants
    window.append({"sortings": [(sample.number, datetime.now(UTC), sample.turns, words)]})
    rows = [
        (topic.topic, topic.name, topic.example, orjson.dumps(topic.words).decode())
        for topic in fitted.topics
    ]
    window.append({"topics": rows})


def _renew(window: engine.StoreWindow, rows: list[tuple[Any, ...]], gone: set[int]) -> None:
    """Keep in `latest` the newest turn of each question that is missing somewhere, by its words and door."""
    there = window.rows(
        "select words, door, started_at, turn_id from latest"
        " where words in (select unnest(cast($words as bigint[])))",
        words=sorted({row[6] for row in rows if row[6]}),
    )
    before = {(row["words"], row["door"]): (row["started_at"], row["turn_id"]) for row in there}
    present = {words for words, _ in before}
    newest = dict[tuple[int, str], tuple[Any, ...]]()
    for turn_id, _, started_at, door, outcome, _, words, _ in rows:
        key = words, door
        last = newest[key][2:4] if key in newest else before.get(key)
        if words in present and (last is None or last < (started_at, turn_id)):
            newest[key] = words, door, started_at, turn_id, outcome
    old = [before[key][1] for key in newest if key in before]
    if old:
        window.shared.execute("delete from latest where turn_id = any($ids)", {"ids": old})
    window.append({"latest": list(newest.values())})
    if gone - present:
        window.shared.execute(_LATEST, {"words": sorted(gone - present)})


def _first(lacking: list[sortings.Lacking]) -> list[datetime]:
    """Return the newest hours with about a piece of turns to sort, in one stretch of two days at most."""
    hours: list[datetime] = []
    turns = 0
    for hour, number in lacking:
        if hours and (turns + number > PIECE or hours[0] - hour > timedelta(days=2)):
            break
        hours.append(hour)
        turns += number
    return hours
