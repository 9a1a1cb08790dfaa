"""Places of the evals that hold a person's words: the team's cases, and the caches of models and judges."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from evalsets import assigned
from evalsets.cases import jsonl, team
from evalsets.topics import key
from pipeline.auth import DEFAULT
from pipeline.configuration.data_folder import DataFolder
from traces.places import DataSubject, Place


def places(data_dir: Path) -> list[Place]:
    """Return the places of this room."""
    folder = DataFolder(data_dir)
    cases = [Cases(own.evalsets, whose) for whose, own in folder.everywhere()]
    return [*cases, Unanswered(data_dir), Replies(folder.answer_cache), Replies(folder.judge_cache)]


class Cases:
    """Cases of the team's sets that were made from the person's turns."""

    proof = "cases in evalsets/*.jsonl whose id or tag names one of the turns"

    def __init__(self, folder: Path, workspace: str = DEFAULT) -> None:
        self.name = "cases of evalsets" + ("" if workspace == DEFAULT else f" of workspace {workspace}")
        self._folder = folder

    def erase(self, person: DataSubject) -> int:
        return sum(team.remove(name, case, folder=self._folder) for name, case in self._mine(person))

    def left(self, person: DataSubject) -> list[str]:
        return [f"case {case} of {name}" for name, case in self._mine(person)]

    def ids(self, person: DataSubject) -> set[str]:
        """Return the ids of the person's cases, so that the turns that asked them can be found."""
        return {case for _, case in self._mine(person)}

    def _mine(self, person: DataSubject) -> list[tuple[str, str]]:
        return [pair for path in sorted(self._folder.glob("*.jsonl")) for pair in self._in(path, person)]

    def _in(self, path: Path, person: DataSubject) -> Iterator[tuple[str, str]]:
        problems: list[str] = []
        for _, row in jsonl.objects(path, problems):
            if person.owns(str(row.get("id")), row.get("tags") or ()):
                yield path.stem, str(row["id"])


class Unanswered:
    """Who looks after questions that had no answer, each under the content words of the question."""

    name = "questions to be answered"
    proof = f"lines of {assigned.FILE} that name one of the turns"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def erase(self, person: DataSubject) -> int:
        lines = assigned.lines(self._folder)
        mine = set(_about(lines, person))
        if mine:
            assigned.rewrite(self._folder, [line for line in lines if line not in mine])
        return len(mine)

    def left(self, person: DataSubject) -> list[str]:
        number = len(_about(assigned.lines(self._folder), person))
        return [f"{number} lines"] if number else []


def _about(lines: Sequence[str], person: DataSubject) -> list[str]:
    """Return the lines about a question of the person's; half a line is about nobody's."""
    keys = {key(question) for question in person.questions}
    mine: list[str] = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and (row.get("turn_id") in person.turn_ids or row.get("key") in keys):
            mine.append(line)
    return mine


class Replies:
    """Replies kept under hashes: nobody can tell whose they are, so all go and are asked again."""

    proof = "select count(*) from replies where kept_at < the time of the erasure"

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self._path = folder / "replies.sqlite"

    def erase(self, person: DataSubject) -> int:
        if not self._path.exists() or not person.turn_ids:
            return 0
        with closing(sqlite3.connect(self._path, timeout=10.0, isolation_level=None)) as db:
            db.execute("pragma secure_delete = on")
            gone = db.execute("delete from replies").rowcount
            db.execute("vacuum")
            db.execute("pragma wal_checkpoint(truncate)")
        return gone

    def left(self, person: DataSubject) -> list[str]:
        """Name what was kept before the erasure; later replies are to other people's questions."""
        if not self._path.exists() or person.erased_at is None or not person.turn_ids:
            return []
        with closing(sqlite3.connect(self._path, timeout=10.0)) as db:
            sql = "select count(*) from replies where kept_at < ?"
            number = db.execute(sql, (person.erased_at,)).fetchone()[0]
        return [f"{number} replies"] if number else []
