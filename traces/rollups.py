"""Makes the rollups out of the rows: those of some hours and conversations, or all anew.

A pure function of a connection's tables, in the SQL that DuckDB and PostgreSQL share. A reader makes those
of its live tail with the same statements.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from traces.engine import Connection, Tables
from traces.histogram import RATIO, ZERO
from traces.records import DEFAULT, NO_ANSWER, PRODUCTION
from traces.rows import columns

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOURLY = {  # statement -> table
    "hourly": "hourly",
    "models": "hourly_models",
    "histograms": "hourly_histograms",
    "stages": "hourly_stages",
    "caches": "hourly_caches",
}
DAILY = ("daily", "daily_histograms", "daily_sides", "daily_users")
# made by a sorter, out of the texts
TOPICS = ("sortings", "topics", "asked", "missing", "latest", "hourly_topics", "daily_topics")
_BY_TOPIC = ("hourly_topics", "daily_topics")
_SUMMED = (*DAILY, "daily_topics")
TALKED = {"talks": "hourly_talks", "left": "hourly_left"}  # out of the conversations
TABLES = (*HOURLY.values(), *DAILY, "rolled", "conversations", *TALKED.values())
ASKED = re.compile(
    r"\b(hourly|hourly_(?!topics)\w+|daily|daily_(?!topics)\w+|conversations)\b"
)  # in a question
MOST_TURNS = 12  # of a conversation that are counted apart when people leave
NEAR = 20  # buckets of the best passage's cosine, from 0 to 1
GROUNDED = 0.5  # groundedness from which an answer counts as grounded
RUNS = 8  # more separate stretches than that are read as one
_SQL = Path(__file__).parent / "schema" / "rollups"
_FIRST, _END = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
_COUNTED = ("feedback", "groundedness")  # the scores that rollups count
_TURN, _CONVERSATION, _STARTED = (
    columns("turns").index(name) for name in ("turn_id", "conversation_id", "started_at")
)
_SCORED, _NAME = (columns("scores").index(name) for name in ("turn_id", "name"))


_NUMBER = "^-?[0-9]{1,9}([.][0-9]*)?([eE]-?[0-9]{1,2})?$"  # as JSON writes one that can be added up
Stretch = tuple[datetime, datetime]  # from the beginning of the first hour to that of the last


@dataclass(frozen=True, slots=True)
class RollupSource:
    """Where rollups are made: what comes before their tables' names, and which table has all scores."""

    prefix: str
    scores: str
    earlier: str  # the conversations that were rolled up before


STORED = RollupSource("", "scores", "conversations")
LIVE = RollupSource("live.", "score_history", "stored.conversations")


@dataclass(frozen=True, slots=True)
class Touched:
    """The hours whose rows changed, and the conversations with the stretch of their changed turns."""

    hours: set[datetime] = field(default_factory=set[datetime])
    conversations: dict[str, Stretch] = field(default_factory=dict[str, Stretch])

    def add(self, started_at: datetime | str, conversation_id: str) -> None:
        at = datetime.fromisoformat(started_at) if isinstance(started_at, str) else started_at
        hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        first, last = self.conversations.get(conversation_id, (hour, hour))
        self.hours.add(hour)
        self.conversations[conversation_id] = min(first, hour), max(last, hour)


@cache
def _statement(name: str, place: RollupSource) -> str:
    text = (_SQL / f"{name}.sql").read_text()
    values = {
        "to": place.prefix,
        "scores": place.scores,
        "grounded": GROUNDED,
        "ratio": RATIO,
        "zero": ZERO,
        "near": NEAR,
        "most_turns": MOST_TURNS,
        "number": _NUMBER,
        "no_answer": ", ".join(f"'{outcome}'" for outcome in NO_ANSWER),
        "people": ", ".join(f"'{door}'" for door in PRODUCTION),
    }
    for key, value in values.items():
        text = text.replace(f"{{{key}}}", str(value))
    return text


def questions() -> dict[str, str]:
    """Return, by its table, the query that a rollup's rows are the answer to, with `$name` values."""
    place, result = RollupSource("", "score_history", ""), dict[str, str]()
    whole_ones = {"conversations": "conversations", **TALKED}
    for name, table in {**HOURLY, **whole_ones, **dict(zip(DAILY, DAILY, strict=True))}.items():
        result[table] = _statement(name, place).partition(f"insert into {table}\n")[2]
    return result


def touched(connection: Connection, tables: Tables) -> Touched:
    """Return what new rows touch: their turns, and older turns that they score."""
    result, own = Touched(), set[str]()
    for row in tables.get("turns", ()):
        own.add(row[_TURN])
        result.add(row[_STARTED], row[_CONVERSATION])
    scored = {row[_SCORED] for row in tables.get("scores", ()) if row[_NAME] in _COUNTED}
    _find(connection, scored - own, result)
    return result


def of_turns(connection: Connection, turn_ids: Collection[str]) -> Touched:
    """Return what changes when these turns, or their scores, change."""
    result = Touched()
    _find(connection, turn_ids, result)
    return result


def _find(connection: Connection, turn_ids: Collection[str], result: Touched) -> None:
    if turn_ids:
        sql = """select started_at, conversation_id from turns
            where turn_id >= $first and turn_id <= $last and turn_id = any($ids)"""
        bound = {"ids": sorted(turn_ids), "first": min(turn_ids), "last": max(turn_ids)}
        for started_at, conversation_id in connection.execute(sql, bound).fetchall():
            result.add(started_at, conversation_id)


def roll(connection: Connection, changed: Touched) -> None:
    """Make the rollups of what was touched anew, within the current transaction."""
    if not changed.hours:
        return
    for table in HOURLY.values():
        sql = f"delete from {table} where hour = any($hours)"  # noqa: S608
        connection.execute(sql, {"hours": sorted(changed.hours)})
    talked = fill(connection, changed, STORED)
    for table in TALKED.values():
        sql = f"delete from {table} where hour = any($hours)"  # noqa: S608
        connection.execute(sql, {"hours": sorted(talked)})
    _fill_talks(connection, talked, STORED)
    _roll_topics(connection, changed.hours | talked)
    _close_days(connection, days_of(changed.hours | talked))


def roll_topics(connection: Connection, hours: set[datetime]) -> None:
    """Make the rollups by topic of some hours and their closed days anew, within the current transaction."""
    _roll_topics(connection, hours)
    [(through,)] = connection.execute("select max(through) from rolled").fetchall()
    for day in sorted(day for day in days_of(hours) if through and day < through):
        _sum_day(connection, "daily_topics", {"since": day, "until": day + DAY})


def _roll_topics(connection: Connection, hours: set[datetime]) -> None:
    for first, last in _joined((hour, hour) for hour in hours):
        own = sorted(hour for hour in hours if first <= hour <= last)
        connection.execute("delete from hourly_topics where hour = any($hours)", {"hours": own})
        bound = {"since": first, "until": last + HOUR}
        if _sorted(connection, bound) and (edges := ends(connection, bound)):
            values = {**bound, **edges, "only": True, "hours": own}
            connection.execute(_statement("topics", STORED), values)


def _sorted(connection: Connection, bound: dict[str, Any]) -> bool:
    """Tell whether a sorter gave turns of a stretch a topic; without one there is nothing to sum up."""
    sql = "select 1 from asked where started_at >= $since and started_at < $until limit 1"
    return bool(connection.execute(sql, bound).fetchall())


def fill(connection: Connection, changed: Touched, place: RollupSource) -> set[datetime]:
    """Add the rollups of hours and of conversations to a place; the old ones of hours are gone already.

    Returns the hours in which one of the conversations begins or ends, or did so before.
    """
    for first, last in _joined((hour, hour) for hour in changed.hours):
        hours = sorted(hour for hour in changed.hours if first <= hour <= last)
        _fill_hours(connection, {"since": first, "until": last + HOUR, "only": True, "hours": hours}, place)
    ids = sorted(changed.conversations)
    before = ended(connection, place.earlier, ids)
    stretches = whole(changed, before)
    if place is STORED:
        connection.execute("delete from conversations where conversation_id = any($ids)", {"ids": ids})
    for first, last in _joined(stretches.values()):
        bound = {"since": first, "until": last + HOUR}
        if edges := ends(connection, bound):
            own = sorted(id for id, stretch in stretches.items() if first <= stretch[0] <= last)
            values = {**bound, **edges, "only": True, "ids": own}
            connection.execute(_statement("conversations", place), values)
    after = ended(connection, f"{place.prefix}conversations", ids)
    return {hour for _, *stretch in (*before, *after) for hour in stretch}


def _fill_talks(connection: Connection, hours: set[datetime], place: RollupSource) -> None:
    for first, last in _joined((hour, hour) for hour in hours):
        own = sorted(hour for hour in hours if first <= hour <= last)
        bound = {"since": first, "until": last + HOUR, "only": True, "hours": own}
        for name in TALKED:
            connection.execute(_statement(name, place), bound)


def ended(connection: Connection, table: str, ids: list[str]) -> list[tuple[str, datetime, datetime]]:
    """Return the hours in which conversations of a table began and ended; one id may be of two workspaces."""
    sql = f"""select conversation_id, date_trunc('hour', began), date_trunc('hour', ended)
        from {table} where conversation_id = any($ids)"""  # noqa: S608
    rows = connection.execute(sql, {"ids": ids}).fetchall()
    return [(key, began.astimezone(UTC), over.astimezone(UTC)) for key, began, over in rows]


def days_of(hours: Iterable[datetime]) -> set[datetime]:
    return {hour.replace(hour=0) for hour in hours}


def whole(changed: Touched, before: Iterable[tuple[str, datetime, datetime]]) -> dict[str, Stretch]:
    """Return when the conversations began and ended, by what was known and what changed."""
    stretches = dict(changed.conversations)
    for key, began, over in before:
        first, last = stretches[key]
        stretches[key] = min(first, began), max(last, over)
    return stretches


def roll_live(connection: Connection, changed: Touched) -> None:
    """Fill a reader's `live` rollups with what its live tail touches, and say that they stand for it."""
    hours, ids = sorted(changed.hours), sorted(changed.conversations)
    connection.execute("insert into live.dirty select unnest($hours)", {"hours": hours})
    connection.execute("insert into live.dirty_conversations select unnest($ids)", {"ids": ids})
    talked = fill(connection, changed, LIVE)
    connection.execute("insert into live.dirty_talks select unnest($hours)", {"hours": sorted(talked)})
    _fill_talks(connection, talked, LIVE)
    [(through,)] = connection.execute("select max(through) from stored.rolled").fetchall()
    days = sorted(day for day in days_of(changed.hours | talked) if through and day < through)
    connection.execute("insert into live.dirty_days select unnest($days)", {"days": days})
    for day in days:
        for table in DAILY:
            connection.execute(_statement(table, LIVE), {"since": day, "until": day + DAY})


def shared(connection: Connection) -> bool:
    """Tell whether several workspaces have turns: sums made before there were any are of all together."""
    sql = "select 1 from turns where workspace <> $default limit 1"
    return bool(connection.execute(sql, {"default": DEFAULT}).fetchall())


def rebuild(connection: Connection) -> None:
    """Make all rollups anew out of the rows, a day at a time, within the current transaction."""
    for table in (*TABLES, *_BY_TOPIC):
        connection.execute(f"delete from {table}")  # noqa: S608
    hours = connection.execute("select distinct date_trunc('hour', started_at) from turns").fetchall()
    days = {hour.astimezone(UTC).replace(hour=0) for (hour,) in hours}
    for day in sorted(days):
        _fill_hours(connection, {"since": day, "until": day + DAY, "only": False, "hours": [day]}, STORED)
    if days:
        bound = {"since": min(days), "until": _END}
        edges = ends(connection, bound) or {}
        sql = _statement("conversations", STORED)
        connection.execute(sql, {**bound, **edges, "only": False, "ids": [""]})
        every = {**bound, "only": False, "hours": [min(days)]}
        for name in TALKED:
            connection.execute(_statement(name, STORED), every)
        connection.execute(_statement("topics", STORED), {**every, **edges})
        _close_days(connection, set())


def _fill_hours(connection: Connection, bound: dict[str, Any], place: RollupSource) -> None:
    edges = ends(connection, {"since": bound["since"], "until": bound["until"]})
    for name in HOURLY if edges else ():
        sql = _statement(name, place)
        values = {**bound, **(edges or {})} if "$first_id" in sql else bound
        connection.execute(sql, values)


def ends(connection: Connection, bound: dict[str, Any]) -> dict[str, str] | None:
    """Return the first and the last turn id of a stretch: the rows between them are all that is read."""
    # without the fence PostgreSQL walks the ids from both ends of the ledger until one is of the stretch
    sql = """select min(turn_id), max(turn_id) from (
        select turn_id from turns where started_at >= $since and started_at < $until offset 0) as those"""
    [(first, last)] = connection.execute(sql, bound).fetchall()
    return None if first is None else {"first_id": first, "last_id": last}


def _joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Join stretches that overlap or follow each other; all of them when too many would be left."""
    joined: list[Stretch] = []
    for first, last in sorted(stretches):
        if joined and first <= joined[-1][1] + HOUR:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return joined if len(joined) <= RUNS else [(joined[0][0], max(last for _, last in joined))]


def _close_days(connection: Connection, touched: set[datetime]) -> None:
    """Sum up the days that are over, all before the newest one with a turn; touched ones anew."""
    [(through,)] = connection.execute("select max(through) from rolled").fetchall()
    [(first, last)] = connection.execute("select min(hour), max(hour) from hourly").fetchall()
    newest = last.astimezone(UTC).replace(hour=0) if last else None
    if newest is None or (through and newest < through):  # the newest ones were erased
        for table in _SUMMED:
            connection.execute(f"delete from {table} where day >= $day", {"day": newest or _FIRST})  # noqa: S608
    elif through is None or newest > through:
        _sum_days(connection, through or first.astimezone(UTC).replace(hour=0), newest)
    for day in sorted(day for day in touched if newest and day < min(through or _FIRST, newest)):
        _sum_days(connection, day, day + DAY)
    if newest != through:
        connection.execute("delete from rolled")
    if newest and newest != through:
        connection.execute("insert into rolled values ($through)", {"through": newest})


def _sum_days(connection: Connection, since: datetime, until: datetime) -> None:
    for table in _SUMMED:
        _sum_day(connection, table, {"since": since, "until": until})


def _sum_day(connection: Connection, table: str, bound: dict[str, Any]) -> None:
    connection.execute(f"delete from {table} where day >= $since and day < $until", bound)  # noqa: S608
    connection.execute(_statement(table, STORED), bound)


def forget_topics(connection: Connection) -> None:
    """Empty what a sorter made: the words of those erased may be in its topics. It is made anew."""
    for table in TOPICS:
        connection.execute(f"delete from {table}")  # noqa: S608
