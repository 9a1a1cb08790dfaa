"""Which turns hold which words: an index in SQLite beside the store, kept by the drainer.

It holds no text, only where each word occurs. `traces rebuild` makes it anew.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

LETTERS = "0-9A-Za-zªµºÀ-ɏͰ-῿Ⰰ-ⷿ぀-﷿"  # what words are made of, in Python and in SQL alike
UNSPACED = "぀-ヿ㐀-鿿가-힯豈-﷿฀-຿"  # scripts written without spaces: each letter is a word
BEGUN = 3  # letters from which the last word of a search may be the beginning of one
_WORD = re.compile(f"[{UNSPACED}]|[{LETTERS}]+?(?=[^{LETTERS}]|[{UNSPACED}]|$)")
_MOST_WORDS = 500  # of a search: who pastes a longer text is shown what holds its beginning
_PIECE = re.compile(r'"([^"]*)"?|(\S+)')
_CLOSE = re.compile(f"[{UNSPACED}]")
_SLOTS = 4  # numbers a millisecond: small steps make a small index; those of a crowded one lie after it
_MOST_ENDINGS = 40  # of a word only begun: each takes a millisecond to look up
_CROWD_MS = 5_000  # how far after it, at most
_SCHEMA = """
create table ids (n integer primary key, turn_id text not null);
create virtual table words using fts5(
    text, content='', columnsize=0, tokenize='unicode61 remove_diacritics 0');
create table state (filled_to text not null, whole integer not null, turns integer not null);
insert into state values ('', 0, 0);
"""

Entry = tuple[str, datetime, str, str | None]  # turn_id, started_at, question, answer


@dataclass(frozen=True, slots=True)
class Sought:
    """What a search looks for: all of these sequences of words; the last may end in a word only begun."""

    phrases: tuple[tuple[str, ...], ...]
    begun: bool = False

    @property
    def match(self) -> str:
        """The search in the language of FTS5."""
        return " AND ".join(map(_quoted, self.phrases)) + (" *" if self.begun else "")

    @property
    def patterns(self) -> list[str]:
        """The search as regular expressions that DuckDB and PostgreSQL share, one a phrase."""
        last = len(self.phrases) - 1
        return [
            _pattern(phrase, begun=self.begun and number == last)
            for number, phrase in enumerate(self.phrases)
        ]


def _quoted(phrase: Sequence[str]) -> str:
    return f'"{" ".join(phrase)}"'


def sought(text: str) -> Sought:
    """Read a search: words in any order, what is quoted or written together as it stands."""
    pieces = [(quoted, plain) for quoted, plain in _PIECE.findall(text)]
    phrases = [(tuple(split(quoted or plain)), bool(plain)) for quoted, plain in pieces]
    pairs = list(_beginning((phrase, plain) for phrase, plain in phrases if phrase))
    if not pairs:
        return Sought(())
    word, plain = pairs[-1][0][-1], pairs[-1][1]
    return Sought(tuple(phrase for phrase, _ in pairs), plain and len(word) >= BEGUN)


def _beginning(pairs: Iterable[tuple[tuple[str, ...], bool]]) -> Iterator[tuple[tuple[str, ...], bool]]:
    left = _MOST_WORDS
    for phrase, plain in pairs:
        if left <= 0:
            return
        yield phrase[:left], plain
        left -= len(phrase)


def split(text: str) -> list[str]:
    """Return the words of a text, in small letters."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def _pattern(phrase: Sequence[str], *, begun: bool) -> str:
    first, last = phrase[0], phrase[-1]
    pattern = "" if _CLOSE.match(first) else f"(^|[^{LETTERS}]|[{UNSPACED}])"
    for before, word in zip(("", *phrase), phrase, strict=False):
        apart = "*" if not before or _CLOSE.match(before) or _CLOSE.match(word) else "+"
        pattern += (f"[^{LETTERS}]{apart}" if before else "") + word
    return pattern if begun or _CLOSE.match(last) else f"{pattern}([^{LETTERS}]|[{UNSPACED}]|$)"


class Words:
    """The index in one file. Who calls `add`, `fill` or `clear` holds the store alone."""

    def __init__(self, path: Path | None) -> None:
        self._path = path  # None: in memory, of one reader's live tail
        self._memory = None if path else _made(":memory:")

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if self._memory is not None:
            yield self._memory
            return
        assert self._path is not None
        fresh = not self._path.exists()
        if fresh:
            self._path.touch(mode=0o600)
        connection = _made(str(self._path)) if fresh else _connected(str(self._path))
        try:
            yield connection
        finally:
            connection.close()

    def add(self, turns: Iterable[Entry]) -> None:
        """Add new turns; while the index is being filled, only those the filling has passed."""
        with self._opened() as connection:
            filled_to, whole = connection.execute("select filled_to, whole from state").fetchone()
            passed = [turn for turn in turns if whole or turn[0] <= filled_to]
            with connection:
                connection.execute("update state set turns = turns + ?", (_write(connection, passed),))

    def fill(self, turns: Sequence[Entry], *, last: bool) -> None:
        """Add the next of all turns, in the order of their ids; `last` says that no more are to come."""
        with self._opened() as connection, connection:
            number = _write(connection, turns)
            filled_to = turns[-1][0] if turns else ""
            connection.execute(
                "update state set turns = turns + ?, filled_to = max(filled_to, ?), whole = ?",
                (number, filled_to, last),
            )

    def state(self) -> tuple[str, bool, int]:
        """Return up to which turn id it is filled, whether it is whole, and how many turns it holds."""
        if not self.there():
            return "", False, 0
        with self._opened() as connection:
            filled_to, whole, turns = connection.execute("select * from state").fetchone()
            return filled_to, bool(whole), turns

    def there(self) -> bool:
        return self._path is None or self._path.exists()

    def clear(self) -> None:
        """Delete it; it is filled anew."""
        if self._path is not None:
            for suffix in ("", "-wal", "-shm", "-journal"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def search(self, sought: Sought, since: datetime, until: datetime, most: int) -> list[str]:
        """Return the newest turns with these words that began in a time, at most so many, newest first."""
        if not sought.phrases:
            return []
        with self._opened() as connection:
            rows = connection.execute(
                "select turn_id from words join ids on ids.n = words.rowid"
                " where words match ? and words.rowid >= ? and words.rowid < ?"
                " order by words.rowid desc limit ?",
                (_match(connection, sought), _slot(since), _slot(until) + _CROWD_MS * _SLOTS, most),
            )
            return [turn_id for (turn_id,) in rows.fetchall()]


def _match(connection: sqlite3.Connection, sought: Sought) -> str:
    """Return a search in the language of FTS5 that can stop at the newest turns.

    Of a word that is only begun FTS5 adds up all turns before it gives the first. So the few words that begin
    so are named; of many, or of letters that FTS5 may spell otherwise, it has to do that.
    """
    *begin, last = sought.phrases[-1]
    if not (sought.begun and last.isascii() and last.isalnum()):
        return sought.match
    endings = _begin_with(connection, last)
    if len(endings) > _MOST_ENDINGS:
        return sought.match
    ways = " OR ".join(f'"{" ".join((*begin, word))}"' for word in endings or [last])
    return " AND ".join((*(_quoted(phrase) for phrase in sought.phrases[:-1]), f"({ways})"))


def _begin_with(connection: sqlite3.Connection, begin: str) -> list[str]:
    """Return the words of the index that begin so, one more than is of use at most."""
    connection.execute(
        "create virtual table if not exists temp.spelled using fts5vocab(main, words, instance)"
    )
    words: list[str] = []
    after = begin
    while len(words) <= _MOST_ENDINGS:
        sql = "select term from temp.spelled where term >= ? limit 1"
        word = next((term for (term,) in connection.execute(sql, (after,))), "")
        if not word.startswith(begin):
            break
        words.append(word)
        after = word + "\x01"  # before every longer word
    return words


def _made(name: str) -> sqlite3.Connection:
    connection = _connected(name)
    connection.executescript(_SCHEMA)
    return connection


def _connected(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=5.0)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = normal")
    return connection


def _write(connection: sqlite3.Connection, turns: Iterable[Entry]) -> int:
    """Write entries in the order of their numbers, as FTS5 likes it; returns how many."""
    ids: list[tuple[int, str]] = []
    texts: list[tuple[int, str]] = []
    last = -1
    for began, key, question, answer in sorted((_slot(at), key, q, a or "") for key, at, q, a in turns):
        number = max(began, last + 1)
        while connection.execute("select 1 from ids where n = ?", (number,)).fetchone():
            number += 1
        last = number
        ids.append((number, key))
        texts.append((number, " ".join((*split(question), *split(answer)))))
    connection.executemany("insert into ids values (?, ?)", ids)
    connection.executemany("insert into words (rowid, text) values (?, ?)", texts)
    return len(ids)


def _slot(moment: datetime) -> int:
    return min(max(int(moment.timestamp() * 1000), 0), (1 << 50) - 1) * _SLOTS
