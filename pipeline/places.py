"""Places of the pipeline that hold a person's words: conversations and spending."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from traces.places import Person, Place

WAIT_SECONDS = 10.0


def places(data_dir: Path) -> list[Place]:
    """Return the places of this room."""
    return [
        Rows(
            "conversations",
            data_dir / "conversations.sqlite",
            {"exchanges": "user_id = :user or turn_id in (select value from json_each(:turns))"},
        ),
        Rows(
            "spending",
            data_dir / "spending.sqlite",
            {"spent": "who = :user", "reached": "who = :user", "held": "who = :user"},
        ),
    ]


class Rows:
    """Rows of SQLite tables; what is deleted is overwritten, and the write-ahead log emptied."""

    def __init__(self, name: str, path: Path, tables: dict[str, str]) -> None:
        self.name = name
        self._path, self._tables = path, tables
        self.proof = "; ".join(f"count of {table} where {where}" for table, where in tables.items())

    def erase(self, person: Person) -> int:
        """Delete the rows; raises sqlite3.Error when the file is held by others for too long."""
        if not self._path.exists():
            return 0
        with closing(self._open()) as db:
            db.execute("pragma secure_delete = on")
            gone = 0
            for table, where in self._tables.items():
                # tables and conditions are constants of this file
                gone += db.execute(f"delete from {table} where {where}", _bound(person)).rowcount  # noqa: S608
            db.execute("vacuum")  # what was deleted earlier, without overwriting, goes too
            busy, _, _ = db.execute("pragma wal_checkpoint(truncate)").fetchone()
        if busy:
            raise sqlite3.OperationalError(f"the write-ahead log of {self._path.name} is in use; try again")
        return gone

    def left(self, person: Person) -> list[str]:
        aside = sorted(self._path.parent.glob(f"{self._path.name}.bad-*"))
        found = [f"{path.name} was put aside and may hold some: delete it by hand" for path in aside]
        if not self._path.exists():
            return found
        with closing(self._open()) as db:
            known = {row[0] for row in db.execute("select name from sqlite_master where type = 'table'")}
            rows = sum(
                db.execute(f"select count(*) from {table} where {where}", _bound(person)).fetchone()[0]  # noqa: S608
                for table, where in self._tables.items()
                if table in known
            )
        return found + ([f"{rows} rows"] if rows else [])

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=WAIT_SECONDS, isolation_level=None)


def _bound(person: Person) -> dict[str, str]:
    return {"user": person.user_id, "turns": json.dumps(sorted(person.turn_ids))}
