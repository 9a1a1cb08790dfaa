"""Workspaces: whose a knowledge base is. What nobody put into one belongs to `default`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipeline.accounts import AccessError, Accounts, Unreachable, note, now
from pipeline.auth import DEFAULT, workspace_named
from pipeline.data_folder import DataFolder
from traces.errors import Unknown

log = logging.getLogger(__name__)
FRESH_SECONDS = 1.0  # how long another process's change may go unnoticed


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace as it is listed."""

    name: str
    users: int
    keys: int
    bases: tuple[str, ...]  # those given to it, the first one answers when none is chosen


class Workspaces:
    """Which workspaces there are and what belongs to them. Raises Unreachable, AccessError, Unknown."""

    def __init__(
        self,
        accounts: Accounts,
        folder: DataFolder | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._accounts = accounts
        self._folder = folder  # with the prompts and evalsets of each
        self._clock = clock
        self._read: tuple[float, dict[str, str]] | None = None

    def of(self, kb: str) -> str:
        """Return the workspace of a knowledge base, whether that exists or not."""
        return self._owners().get(kb, DEFAULT)

    def main(self, workspace: str, otherwise: str) -> str | None:
        """Return the knowledge base that answers when none is chosen; `otherwise` is that of `default`."""
        if workspace == DEFAULT:
            return otherwise if self.of(otherwise) == DEFAULT else None
        return next((kb for kb, owner in self._owners().items() if owner == workspace), None)

    def readable(self, workspace: str, kbs: Iterable[str]) -> list[str]:
        """Return those of the knowledge bases that the people of a workspace may read."""
        return [kb for kb in kbs if self.of(kb) == workspace]

    def check(self, name: str) -> None:
        """Raise Unknown when there is no such workspace."""
        if name != DEFAULT and not self._accounts.rows("select 1 from workspaces where workspace = ?", name):
            raise Unknown(
                f"there is no workspace {name[:64]!r}; `answerdeck workspaces list` names them, and"
                " `answerdeck workspaces add` makes one"
            )

    def list(self) -> list[Workspace]:
        """Return all workspaces, `default` first."""
        rows = self._accounts.rows("select workspace from workspaces order by workspace")
        names = [DEFAULT, *(row["workspace"] for row in rows)]
        return [
            Workspace(name, self._count("users", name), self._count("keys", name), tuple(self._given(name)))
            for name in names
        ]

    def add(self, name: str, actor: str) -> None:
        """Make a workspace; raises AccessError when it is there already or its name is none."""
        try:
            workspace_named(name)
        except ValueError as error:
            raise AccessError(str(error)) from None
        with self._accounts.change() as db:
            sql = "insert into workspaces values (?, ?) on conflict do nothing"
            if name == DEFAULT or not db.execute(sql, (name, now())).rowcount:
                raise AccessError(f"there is a workspace {name!r} already")
            note(db, "workspace added", name, actor)

    def remove(self, name: str, actor: str) -> None:
        """Remove an empty workspace; raises AccessError naming who or what is in it still."""
        self.check(name)
        if name == DEFAULT:
            raise AccessError("the workspace 'default' cannot be removed: what is in no other belongs to it")
        workspace = next(row for row in self.list() if row.name == name)
        if workspace.users or workspace.keys or workspace.bases:
            raise AccessError(
                f"workspace {name!r} still has {workspace.users} users, {workspace.keys} keys and"
                f" {len(workspace.bases)} knowledge bases; move or revoke them first"
            )
        own = None if self._folder is None else self._folder.within(name).path
        if own is not None and own.exists():
            raise AccessError(
                f"workspace {name!r} still has prompts or evalsets in {own.name!r} below"
                f" {own.parent.name!r} of the data folder; move that folder away first"
            )
        with self._accounts.change() as db:
            db.execute("delete from workspaces where workspace = ?", (name,))
            db.execute("delete from sessions where workspace = ?", (name,))
            note(db, "workspace removed", name, actor)

    def give(self, name: str, kb: str, actor: str) -> None:
        """Let a knowledge base belong to a workspace, one that is yet to be made too."""
        self.check(name)
        with self._accounts.change() as db:
            db.execute("delete from bases where kb = ?", (kb,))
            if name != DEFAULT:
                db.execute("insert into bases values (?, ?, ?)", (kb, name, now()))
            note(db, "knowledge base given", kb, actor, f"to workspace {name}")
        self._read = None

    def close(self) -> None:
        """Close the file."""
        self._accounts.close()

    def _given(self, name: str) -> list[str]:
        rows = self._accounts.rows("select kb from bases where workspace = ? order by since, kb", name)
        return [row["kb"] for row in rows]

    def _count(self, table: str, name: str) -> int:
        out = {"users": "disabled", "keys": "revoked"}[table]
        sql = f"select count(*) as n from {table} where workspace = ? and {out} = 0"  # noqa: S608 names of ours
        rows = self._accounts.rows(sql, name)
        return rows[0]["n"] if rows else 0

    def _owners(self) -> dict[str, str]:
        """Return the workspace of each knowledge base outside `default`; read anew each second."""
        if self._read is None or self._clock() - self._read[0] >= FRESH_SECONDS:
            try:
                rows = self._accounts.rows("select kb, workspace from bases order by since, kb")
            except Unreachable:
                if self._read is None:
                    raise
                log.warning("whose the knowledge bases are cannot be asked: what was read last holds on")
                rows = [{"kb": kb, "workspace": name} for kb, name in self._read[1].items()]
            self._read = self._clock(), {row["kb"]: row["workspace"] for row in rows}
        return self._read[1]
