"""Places of the pipeline that hold a person's words: conversations, memory, spending, limits, accounts."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from pipeline.access.accounts import ACCOUNTS
from pipeline.configuration.data_folder import DataFolder
from pipeline.context.conversation_tables import TABLES
from pipeline.context.shared_cache import CACHED
from pipeline.databases.redis_server import RedisServer
from pipeline.own_documents.spaces import INCOMING, owner
from traces.engine import EMBEDDED
from traces.places import DataSubject, Place
from traces.postgres.tables import SharedTables

WAIT_SECONDS = 10.0
INDEX_COLONS = 3  # in the name of an index: answerdeck:cache:<kind>:<key>


def places(data_dir: Path, ledger: str = EMBEDDED, sessions: str = EMBEDDED) -> list[Place]:
    """Return the places of this room, those that machines with one ledger share included."""
    names = {"conversations and memory": "user_id", "people and sessions": "name", "audit of people": "actor"}
    shared = [] if ledger == EMBEDDED else [SharedRows(ledger, *pair) for pair in names.items()]
    caches = [] if sessions == EMBEDDED else [Caches(sessions)]
    return [
        *shared,
        *caches,
        PersonTables("conversations and memory", DataFolder(data_dir).conversations, "user_id"),
        OwnDocuments(DataFolder(data_dir).private),
        PersonTables("spending", DataFolder(data_dir).spending, "who"),
        PersonTables("people and sessions", DataFolder(data_dir).people, "name"),
        PersonTables("audit of people", DataFolder(data_dir).people, "actor"),
        PersonTables("limits of the last minute", DataFolder(data_dir).counts, "who"),
    ]


class SharedRows:
    """Every table that machines with one ledger share and that has a column for the person."""

    def __init__(self, ledger: str, name: str, column: str) -> None:
        self.name = f"shared {name}"
        self.proof = f"count of rows with the person as {column} in each shared table"
        self._ledger, self._column = ledger, column

    def erase(self, person: DataSubject) -> int:
        """Delete the rows; raises StoreError when they cannot be reached."""
        with closing(SharedTables(self._ledger, TABLES + ACCOUNTS, patience=None)) as db:
            return sum(
                db.execute(f"delete from {table} where {self._column} = ?", (person.user_id,)).rowcount  # noqa: S608
                for table in self._tables(db)
            )

    def left(self, person: DataSubject) -> list[str]:
        counts: dict[str, int] = {}
        with closing(SharedTables(self._ledger, TABLES + ACCOUNTS, patience=None)) as db:
            for table in self._tables(db):
                statement = f"select count(*) from {table} where {self._column} = ?"  # noqa: S608
                counts[table] = db.execute(statement, (person.user_id,)).fetchone()[0]
        return [f"{number} shared rows of {table}" for table, number in counts.items() if number]

    def _tables(self, db: SharedTables) -> list[str]:
        rows = db.execute(
            "select table_name from information_schema.columns where table_schema = 'shared'"
            " and column_name = ? order by table_name",
            (self._column,),
        )
        return [row[0] for row in rows.fetchall()]


class Caches:
    """What machines keep for repeated questions: nobody can tell whose they are, so all go."""

    name = "caches of all machines"
    proof = "count of keys in Redis that hold cached questions"

    def __init__(self, address: str) -> None:
        self._address = address

    def erase(self, person: DataSubject) -> int:
        """Delete the entries; raises SessionsError when the server cannot be reached."""
        with closing(RedisServer(self._address)) as server:
            names = self._names(server)
            return sum(server.ask(lambda client, name=name: client.delete(name)) for name in names)

    def left(self, person: DataSubject) -> list[str]:
        """Name what was kept before the erasure; later entries are of other people."""
        with closing(RedisServer(self._address)) as server:
            names = self._names(server)
        if person.erased_at is not None:
            names = [name for name in names if _earlier(name, datetime.fromisoformat(person.erased_at))]
        return [f"{len(names)} entries"] if names else []

    def _names(self, server: RedisServer) -> list[str]:
        pattern = server.key(f"{CACHED}*")
        return server.ask(lambda client: list(client.scan_iter(pattern, count=1000)))


def _earlier(name: str, moment: datetime) -> bool:
    """Say whether an entry was kept before a moment; its name ends with a UUIDv7, an index has none."""
    digits = name.rpartition(":")[2].replace("-", "")
    milliseconds = int(digits[:12], 16)
    return name.count(":") > INDEX_COLONS and milliseconds < moment.timestamp() * 1000


class OwnDocuments:
    """The documents a person brought, in every workspace, and files of the person that are on their way."""

    name = "own documents"
    proof = "files and folders of private/ under the hash of the person's name"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def erase(self, person: DataSubject) -> int:
        """Delete them with all their versions; raises OSError when a file cannot be deleted."""
        mine = self._mine(person)
        for path in mine:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        return len(mine)

    def left(self, person: DataSubject) -> list[str]:
        return [path.name for path in self._mine(person)]

    def _mine(self, person: DataSubject) -> list[Path]:
        begins = f"{owner(person.user_id)}-*"
        return [*self._folder.glob(begins), *(self._folder / INCOMING).glob(begins)]


class PersonTables:
    """Every table of an SQLite file that has a column for the person.

    What is deleted is overwritten, and the write-ahead log emptied.
    """

    def __init__(self, name: str, path: Path, column: str) -> None:
        self.name = name
        self.proof = f"count of rows with the person as {column} in each table of {path.name}"
        self._path, self._column = path, column

    def erase(self, person: DataSubject) -> int:
        """Delete the rows; raises sqlite3.Error when the file is held by others for too long."""
        if not self._path.exists():
            return 0
        with closing(self._open()) as db:
            db.execute("pragma secure_delete = on")
            gone = 0
            for table in self._tables(db):
                statement = f"delete from {table} where {self._column} = ?"  # noqa: S608 - names of ours
                gone += db.execute(statement, (person.user_id,)).rowcount
            db.execute("vacuum")  # what was deleted earlier, without overwriting, goes too
            busy, _, _ = db.execute("pragma wal_checkpoint(truncate)").fetchone()
        if busy:
            raise sqlite3.OperationalError(f"the write-ahead log of {self._path.name} is in use; try again")
        return gone

    def left(self, person: DataSubject) -> list[str]:
        aside = sorted(self._path.parent.glob(f"{self._path.name}.bad-*"))
        remnants = [f"{path.name} was put aside and may hold some: delete it by hand" for path in aside]
        if not self._path.exists():
            return remnants
        with closing(self._open()) as db:
            for table in self._tables(db):
                statement = f"select count(*) from {table} where {self._column} = ?"  # noqa: S608
                number = db.execute(statement, (person.user_id,)).fetchone()[0]
                remnants += [f"{number} rows of {table}"] if number else []
        return remnants

    def _tables(self, db: sqlite3.Connection) -> list[str]:
        rows = db.execute(
            "select t.name from sqlite_master as t join pragma_table_info(t.name) as c"
            " where t.type = 'table' and c.name = ? order by t.name",
            (self._column,),
        )
        return [row[0] for row in rows]

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=WAIT_SECONDS, isolation_level=None)
