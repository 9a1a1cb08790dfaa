"""Which turns hold which words, in PostgreSQL: a vector of each turn's words under an inverted index.

The vectors are made of the same words as the embedded engine's index, committed with their turns. A ledger of
before gets them in pieces; until then searches look through the texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from traces.postgres.dialect import STORED
from traces.words import Entry, Sought, split

if TYPE_CHECKING:
    import psycopg

PIECE = 5_000  # turns given their words in one transaction
_READERS_SECONDS = 30  # that the old index waits for who reads it
_LONGEST = 200  # letters of a word that count: PostgreSQL takes 2,046 bytes
_PLACES, _REPEATS, _BYTES = 16_383, 255, 1_000_000  # what a vector can hold: places, those of a word, bytes
_STRETCHES = (20_000, 80_000, 320_000)  # turns looked through first, newest first; then the rest
_STATE = f"""
    select whole, exists (select 1 from {STORED}.words where not fit) from {STORED}.worded
"""  # noqa: S608 - constants
_HELD = f"""
    with held as materialized (
        select turn_id, started_at from {STORED}.words
        where tokens @@ cast(%(query)s as tsquery) and started_at >= %(since)s and started_at < %(until)s
    ) select turn_id, started_at from held order by started_at desc, turn_id desc limit %(most)s
"""  # noqa: S608 - constants
_UNFIT = f"""
    select w.turn_id, w.started_at from {STORED}.words as w join {STORED}.turns as t on t.turn_id = w.turn_id
    where not w.fit and w.started_at >= %(since)s and w.started_at < %(until)s
      and lower(concat(t.question, ' ', t.answer)) ~ all(%(patterns)s)
    order by 2 desc, 1 desc limit %(most)s
"""  # noqa: S608 - constants
_NEXT = """
    select turn_id, started_at, question, answer, turn_id in (select turn_id from words)
    from turns where turn_id > %s order by turn_id limit %s
"""
_BEFORE = f"""
    select started_at from {STORED}.words where started_at >= %(since)s and started_at < %(until)s
    order by started_at desc offset %(turns)s limit 1
"""  # noqa: S608 - constants


def statements() -> Iterator[str]:
    """Yield the statements that make the table of words and its state, for a ledger that has none."""
    yield (
        f'create table if not exists {STORED}.words (turn_id text collate "C" not null,'
        " started_at timestamptz not null, fit boolean not null, tokens tsvector not null)"
    )
    yield f'create table if not exists {STORED}.worded (filled_to text collate "C" not null, whole boolean)'
    yield (
        f"insert into {STORED}.worded select '', not exists (select 1 from {STORED}.turns)"  # noqa: S608
        f" where not exists (select 1 from {STORED}.worded)"
    )
    yield f"create index if not exists words_by_tokens on {STORED}.words using gin (tokens)"
    yield f"create index if not exists words_unfit on {STORED}.words (started_at) where not fit"


def vector(text: Sequence[str]) -> str | None:
    """Return words with their places as PostgreSQL reads them; None when it cannot hold them all."""
    places: dict[str, list[str]] = {}
    for place, word in enumerate(text, 1):
        places.setdefault(word, []).append(str(place))
    held = sum(len(word.encode()) + 2 * len(at) + 4 for word, at in places.items())
    most = max(map(len, places.values()), default=0)
    if len(text) > _PLACES or most > _REPEATS or held > _BYTES or max(map(len, places), default=0) > _LONGEST:
        return None
    return " ".join(f"'{word}':{','.join(at)}" for word, at in places.items())


def write(connection: psycopg.Connection, turns: Iterable[Entry]) -> None:
    """Add the words of turns within the current transaction."""
    statement = b"copy words (turn_id, started_at, fit, tokens) from stdin"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for turn_id, started_at, question, answer in turns:
            tokens = vector([*split(question), *split(answer or "")])
            copy.write_row((turn_id, started_at, tokens is not None, tokens or ""))


def fill(connection: psycopg.Connection) -> bool:
    """Give the next turns their words; returns whether every turn has them."""
    with connection.transaction():
        state = connection.execute("select filled_to, whole from worded for update skip locked").fetchone()
        if state is None or state[1]:
            return state is not None
        turns = connection.execute(_NEXT, [state[0], PIECE]).fetchall()
        write(connection, (turn[:4] for turn in turns if not turn[4]))
        last = len(turns) < PIECE
        filled_to = turns[-1][0] if turns else state[0]
        connection.execute("update worded set filled_to = %s, whole = %s", [filled_to, last])
    return last


def clear(connection: psycopg.Connection) -> None:
    """Take all words away; they are filled anew."""
    with connection.transaction():
        connection.execute("truncate words")
        connection.execute("update worded set filled_to = '', whole = false")


def forget(connection: psycopg.Connection) -> None:
    """Make the index anew beside its readers: it keeps words of which no turn is left.

    Not `reindex concurrently`: that waits for every transaction of the database, even for one of who erases.
    """
    with connection.transaction():
        connection.execute(f"set local lock_timeout = '{_READERS_SECONDS}s'".encode())
        connection.execute(f"create index words_anew on {STORED}.words using gin (tokens)".encode())
        connection.execute(f"drop index {STORED}.words_by_tokens".encode())
        connection.execute(f"alter index {STORED}.words_anew rename to words_by_tokens".encode())


def search(
    connection: psycopg.Connection, sought: Sought, since: datetime, until: datetime, most: int
) -> list[str] | None:
    """Return the newest turns with these words, newest first; None while some have no words yet."""
    state = connection.execute(_STATE.encode()).fetchone()
    if state is None or not state[0]:
        return None
    if not sought.phrases:
        return []
    bound: dict[str, Any] = {"since": since, "until": until, "most": most}
    rows = _held(connection, {**bound, "query": query(sought)}, most)
    if state[1]:
        rows += connection.execute(_UNFIT.encode(), {**bound, "patterns": sought.patterns}).fetchall()
    rows.sort(key=lambda row: (row[1], row[0]), reverse=True)
    return [turn_id for turn_id, _ in rows[:most]]


def query(sought: Sought) -> str:
    """Return a search in the language of `tsquery`."""
    phrases = [" <-> ".join(f"'{word[:_LONGEST]}'" for word in phrase) for phrase in sought.phrases]
    return " & ".join(f"({phrase})" for phrase in phrases[:-1]) + (
        f"{' & ' if phrases[1:] else ''}{phrases[-1]}{':*' if sought.begun else ''}"
    )


def _held(connection: psycopg.Connection, bound: dict[str, Any], most: int) -> list[tuple[str, datetime]]:
    """Return the newest turns whose vectors match; of frequent words only a newest stretch is looked at."""
    rows: list[tuple[str, datetime]] = []
    until = bound["until"]
    for turns in (*_STRETCHES, None):
        here = {**bound, "until": until, "most": most - len(rows)}
        begin = None if turns is None else _first(connection, {**here, "turns": turns})
        rows += connection.execute(_HELD.encode(), {**here, "since": begin or bound["since"]}).fetchall()
        if begin is None or len(rows) >= most:
            break
        until = begin
    return rows


def _first(connection: psycopg.Connection, bound: dict[str, Any]) -> datetime | None:
    """Return when the turn so many before the end of a time began; None when there are not so many."""
    row = connection.execute(_BEFORE.encode(), bound).fetchone()
    return row[0] if row else None
