"""Workspaces: whose a knowledge base is. What nobody put into one belongs to `default`."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.access.accounts import AccessError, Accounts, Unreachable, note, now
from pipeline.auth import DEFAULT, workspace_named
from pipeline.configuration.data_folder import DataFolder
from traces.errors import Unknown

log = logging.getLogger(__name__)
FRESH_SECONDS = 1.0  # how long another process's change may go unnoticed
REST_SECONDS = 5.0  # after a failure nobody is kept waiting again for so long
WAIT_SECONDS = 0.3  # for a server, when something was read before: a turn waits, and others with it


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace as it is listed."""

    name: str
    users: int
    keys: int
    bases: tuple[str, ...]  # those given to it, the first one answers when none is chosen


class Workspaces:
    """Which workspaces there are and what belongs to them. Raises Unreachable, AccessError, Unknown.

    While the database that machines share is away, what was read last holds on, after a restart too: then
    it is read from `copy`.
    """

    def __init__(
        self,
        accounts: Accounts,
        folder: DataFolder | None = None,
        clock: Callable[[], float] = time.monotonic,
        copy: Path | None = None,
    ) -> None:
        self._accounts = accounts
        self._folder = folder  # with the prompts and evalsets of each
        self._clock = clock
        self._copy = copy
        self._owned: dict[str, str] | None = None  # as they were read last
        self._until = float("-inf")  # when they are read anew

    def of(self, kb: str) -> str:
        """Return the workspace of a knowledge base, whether that exists or not."""
        return self._owners().get(kb, DEFAULT)

    def main(self, workspace: str, otherwise: str) -> str | None:
        """Return the knowledge base that answers when none is chosen; `otherwise` is that of `default`."""
        if workspace == DEFAULT:
            return otherwise if self._configured(otherwise) else None
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
        self._until = float("-inf")

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

    def _configured(self, kb: str) -> bool:
        """Say whether `default` has its configured knowledge base, as it has where nobody ever knew more."""
        try:
            return self.of(kb) == DEFAULT
        except Unreachable as error:
            log.warning(
                "whose knowledge base %r is was never read here, it is taken as configured: %s", kb, error
            )
            return True

    def _owners(self) -> dict[str, str]:
        """Return the workspace of each knowledge base outside `default`; read anew each second."""
        if self._clock() >= self._until:
            try:
                rows = self._asked("select kb, workspace from bases order by since, kb")
            except (Unreachable, TimeoutError) as error:
                self._until = self._clock() + REST_SECONDS
                self._owned = self._owned if self._owned is not None else self._copied()
                log.warning(
                    "whose the knowledge bases are cannot be asked, what was read last holds: %s",
                    str(error) or "no answer yet",
                )
            else:
                self._keep({row["kb"]: row["workspace"] for row in rows})
                self._until = self._clock() + FRESH_SECONDS
        if self._owned is None:
            raise Unreachable("whose the knowledge bases are cannot be asked, and was never read here")
        return self._owned

    def _asked(self, sql: str) -> list[Any]:
        """Return the rows; a server that may be silent is waited for only where nothing was ever read."""
        asking = self._accounts.apart(self._accounts.rows, sql)
        if asking is None:
            return self._accounts.rows(sql)
        return asking.result(None if self._owned is None and self._copied() is None else WAIT_SECONDS)

    def _keep(self, owned: dict[str, str]) -> None:
        """Take over what was read; write the copy when it says something else."""
        before = None if self._owned is None else list(self._owned.items())
        self._owned = owned
        if self._copy is None or before == list(owned.items()):
            return
        half = self._copy.with_name(f"{self._copy.name}.{os.getpid()}")
        try:
            self._copy.parent.mkdir(parents=True, exist_ok=True)
            half.write_text(json.dumps(owned), "utf-8")
            half.replace(self._copy)
        except OSError as error:
            log.warning(
                "whose the knowledge bases are cannot be kept for when the database is away: %s", error
            )

    def _copied(self) -> dict[str, str] | None:
        """Return what the copy says; None without a sound one."""
        with suppress(OSError, ValueError):
            owned = None if self._copy is None else json.loads(self._copy.read_text("utf-8"))
            if isinstance(owned, dict):
                return {str(kb): str(workspace) for kb, workspace in owned.items()}
        return None
