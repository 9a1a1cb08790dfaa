"""Places that hold a person's words: each can erase them and prove that none are left.

A store that holds words adds itself to the `places` of its room: `traces.places`, `pipeline.places`,
`evalsets.places`.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from traces import retention
from traces.alerts import standing
from traces.queries import persons
from traces.store import Store

CERTIFICATES = "erasures"  # below the data folder; they name the ids that were erased
SOURCE_TAG = "turn:"  # of a case: the turn it was made from
LEAST_CHARACTERS = 12  # a shorter question says nothing about whose it was
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class DataSubject:
    """Whose words they are: the turns of the person, what was made of them, and the questions asked."""

    user_id: str
    turn_ids: frozenset[str] = frozenset()
    case_ids: frozenset[str] = frozenset()
    questions: frozenset[str] = frozenset()  # known while erasing only; no certificate holds them
    erased_at: str | None = None  # ISO 8601, UTC; what was kept later is of others

    def owns(self, case_id: str, tags: Collection[str] = ()) -> bool:
        """Say whether a case was made from one of the person's turns."""
        if case_id in self.turn_ids or case_id in self.case_ids:
            return True
        tagged = {tag.removeprefix(SOURCE_TAG) for tag in tags if tag.startswith(SOURCE_TAG)}
        return bool(tagged & self.turn_ids) or case_id in {
            f"turn-{turn_id[-12:]}" for turn_id in self.turn_ids
        }


class Place(Protocol):
    """Somewhere a person's words may be."""

    name: str
    proof: str  # what is asked to know that none are left

    def erase(self, person: DataSubject) -> int:
        """Erase what is the person's; return how much it was. May raise what its store raises."""
        ...

    def left(self, person: DataSubject) -> list[str]:
        """Name what is still there; empty when nothing is."""
        ...


def trail(store: Store, user_id: str, more: Collection[str] = ()) -> DataSubject:
    """Follow a person through the ledger: own turns, cases of them, and turns that asked those again.

    `more` are cases known from elsewhere to be the person's.
    """
    store.drain()
    with store.read() as ledger:
        own = persons.turns(ledger, user_id)
        person = DataSubject(user_id, frozenset(turn.turn_id for turn in own), frozenset(more))
        mine = {
            case.case_id
            for case in persons.cases(ledger)
            if person.owns(case.case_id, json.loads(case.tags or "null") or ())
        }
        case_ids = person.case_ids | mine | person.turn_ids
        questions = frozenset(turn.question for turn in own if len(turn.question) >= LEAST_CHARACTERS)
        turn_ids = person.turn_ids | set(persons.asked_again(ledger, case_ids, questions))
        questions -= persons.shared(ledger, user_id, turn_ids, questions)  # those are others' words as well
    return replace(person, turn_ids=turn_ids, case_ids=case_ids, questions=questions)


def places(store: Store) -> list[Place]:
    """Return the places of this room, in the order in which they are erased."""
    folder = store.data_dir
    return [TraceStore(store), JournalFiles(store), AlertFiles(folder), OtherFiles(folder)]


class TraceStore:
    """Turns, payloads, spans, passages, usages, scores and cases."""

    name = "trace store and journal"
    proof = "; ".join(f"count of {table} where {where}" for table, where in persons.LEFT.items())

    def __init__(self, store: Store) -> None:
        self._store = store

    def erase(self, person: DataSubject) -> int:
        done = retention.erase(self._store, person.user_id, person.turn_ids, person.case_ids)
        return done.turns + done.scores + done.lines

    def left(self, person: DataSubject) -> list[str]:
        with self._store.read() as ledger:
            counts = {
                table: persons.left(ledger, table, person.user_id, person.turn_ids, person.case_ids)
                for table in persons.LEFT
            }
        return [f"{number} rows of {table}" for table, number in counts.items() if number]


class JournalFiles:
    """Live and drained journal segments, and the lines and store files that were put aside."""

    name = "journal segments and files put aside"
    proof = "lines below journal/, unpacked, with one of the ids; files named traces.duckdb.*"

    def __init__(self, store: Store) -> None:
        self._store = store
        self._data_dir = store.data_dir
        self._engine = store.engine

    def erase(self, person: DataSubject) -> int:
        return 0  # done with the trace store: lines and rows go together

    def left(self, person: DataSubject) -> list[str]:
        remnants = _counted(files(self._data_dir / "journal"), self._data_dir, person)
        return remnants + [f"{name} {self._engine.remedy}" for name in self._engine.put_aside()]


class AlertFiles:
    """Alerts of a person's own budget."""

    name = "alerts"
    proof = "entries of alerts.json and alert-history.jsonl that name the person's budget"

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def erase(self, person: DataSubject) -> int:
        gone = len(self._entries(person))
        if not gone:
            return 0
        with standing.keeping(self._data_dir) as book:
            for key in [key for key in book.standings if _names(key, person)]:
                del book.standings[key]
            book.outbox = [message for message in book.outbox if not _names(message.key, person)]
            standing.rewrite(self._data_dir, lambda event: not _names(event.key, person))
        return gone

    def left(self, person: DataSubject) -> list[str]:
        return [f"{len(remnants)} entries"] if (remnants := self._entries(person)) else []

    def _entries(self, person: DataSubject) -> list[str]:
        book = standing.read(self._data_dir)
        events = standing.history(self._data_dir, limit=1_000_000)
        keys = [*book.standings, *(message.key for message in book.outbox), *(event.key for event in events)]
        return [key for key in keys if _names(key, person)]


class OtherFiles:
    """Every file of the data folder: the last look, for what no other place knows of."""

    name = "every file of the data folder"
    proof = "lines of all other files, unpacked, with one of the ids (while erasing: or of the questions)"

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def erase(self, person: DataSubject) -> int:
        return 0  # each store erases its own

    def left(self, person: DataSubject) -> list[str]:
        journal = self._data_dir / "journal"
        others = (path for path in files(self._data_dir) if not path.is_relative_to(journal))
        return _counted(others, self._data_dir, person)


def _counted(paths: Iterable[Path], data_dir: Path, person: DataSubject) -> list[str]:
    counts = {path.relative_to(data_dir).as_posix(): count(path, person) for path in paths}
    return [f"{name}: {number} lines" for name, number in counts.items() if number]


def _names(key: str, person: DataSubject) -> bool:
    return key.startswith("spend ") and person.user_id in key.split()


def files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, certificates left out."""
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and CERTIFICATES not in path.relative_to(folder).parts:
            yield path


def count(path: Path, person: DataSubject) -> int:
    """Count the lines of a file, unpacked, that hold an id or a question of the person."""
    ids = {question.encode() for question in person.turn_ids if _UUID.fullmatch(question)}
    ids |= {json.dumps(question, ensure_ascii=False)[1:-1].encode() for question in person.questions}
    ids |= {question.encode() for question in person.questions}
    if not ids:
        return 0
    pattern = re.compile(b"|".join(re.escape(name) for name in sorted(ids)))
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return sum(1 for line in file if pattern.search(line))
    except FileNotFoundError:
        return 0
