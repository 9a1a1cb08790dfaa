"""The list of the files people brought: what became of each, in the file of the conversations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipeline.auth import DEFAULT
from pipeline.databases.linked import Database
from pipeline.databases.transactions import transaction

State = Literal["waiting", "reading", "ready", "failed"]
UPLOADS = """
create table if not exists uploads (
    upload_id text primary key, user_id text not null, workspace text not null, name text not null,
    bytes integer not null, pages integer, state text not null,
    reason text,           -- why it failed: a name of pipeline.own_documents.spaces.SENTENCES
    added_at text not null,
    process text not null  -- who reads it, as JSON
);
create index if not exists uploads_of on uploads (user_id, workspace);
"""
_COLUMNS = "upload_id, user_id, workspace, name, bytes, pages, state, reason, added_at, process"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody brought."""

    upload_id: str
    user_id: str
    workspace: str
    name: str
    bytes: int
    pages: int | None
    state: State
    reason: str | None
    added_at: str  # ISO 8601, UTC
    process: str


class Uploads:
    """The files of one workspace; every statement names it and the user. Raises ConversationsError."""

    def __init__(self, run: Callable[[Callable[[Database], Any]], Any], workspace: str = DEFAULT) -> None:
        self._run = run
        self._workspace = workspace

    def list(self, user_id: str) -> list[Upload]:
        """Return the user's files, the newest first."""
        return self._rows("user_id = ? and workspace = ?", user_id, self._workspace)

    def begin(self, upload: Upload, most: int) -> bool:
        """Note a file that came whole; False when its user has so many already."""

        def write(db: Database) -> bool:
            with transaction(db):
                sql = "select count(*) from uploads where user_id = ? and workspace = ? and state <> 'failed'"
                if db.execute(sql, (upload.user_id, self._workspace)).fetchone()[0] >= most:
                    return False
                db.execute(
                    f"insert into uploads ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                    tuple(asdict(upload).values()),
                )
                return True

        return self._run(write)

    def change(
        self, upload_id: str, state: State, *, pages: int | None = None, reason: str | None = None
    ) -> bool:
        """Note what became of a file; False when it was removed meanwhile."""
        sql = "update uploads set state = ?, pages = ?, reason = ? where upload_id = ? and workspace = ?"
        values = (state, pages, reason, upload_id, self._workspace)
        return self._run(lambda db: db.execute(sql, values).rowcount > 0)

    def delete(self, user_id: str, upload_id: str) -> Upload | None:
        """Take one of the user's files off the list and return it; None when there is no such one."""
        where = "user_id = ? and workspace = ? and upload_id = ?"
        values = (user_id, self._workspace, upload_id)
        rows = self._rows(where, *values)
        self._run(lambda db: db.execute(f"delete from uploads where {where}", values))  # noqa: S608
        return rows[0] if rows else None

    def unfinished(self) -> list[Upload]:
        """Return the files of all users and workspaces that somebody reads, or was about to."""
        return self._rows("state in (?, ?)", "waiting", "reading")

    def older(self, than: str) -> list[Upload]:
        """Return the files of all users and workspaces that were added before a time."""
        return self._rows("added_at < ?", than)

    def _rows(self, where: str, *values: Any) -> list[Upload]:
        sql = f"select {_COLUMNS} from uploads where {where} order by upload_id desc"  # noqa: S608
        return [Upload(*row) for row in self._run(lambda db: db.execute(sql, values).fetchall())]
