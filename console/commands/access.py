"""`answerdeck users` and `answerdeck keys`: who may come in. A change holds at once, without a restart."""

from __future__ import annotations

import getpass
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from console.commands.evals import Json
from console.commands.screen import emit, table, wrong
from pipeline import build
from pipeline.access.people import AccessError, Account, People
from pipeline.auth import DEFAULT
from pipeline.settings import load_settings

Name = Annotated[str, typer.Argument(help="A name of letters, digits, '.', '_', '@' or '-'.")]
Role = Annotated[str, typer.Option(help="user, viewer, editor, approver or admin.")]
Workspace = Annotated[str, typer.Option(help="Whose documents are read; `workspaces list` names them.")]
ByInput = Annotated[bool, typer.Option("--password-stdin", help="Read the password from the standard input.")]


def add_user(
    name: Name, role: Role = "user", password_stdin: ByInput = False, workspace: Workspace = DEFAULT
) -> None:
    """Add a user with a password that you type, pipe in, or are shown once."""
    password, shown = _password(password_stdin)
    with access() as people:
        people.add_user(name, role, password, getpass.getuser(), workspace)
    print(f"user {name} ({role}) is added; everybody signs in from now on" + shown)


def list_users(json: Json = False) -> None:
    """List the users with their roles."""
    with access() as people:
        _listed(people.users(), "users", json)


def move_user(name: Name, workspace: Workspace = DEFAULT) -> None:
    """Put a user into another workspace; the user's conversations stay in the old one."""
    with access() as people:
        people.move_user(name, workspace, getpass.getuser())
    print(f"user {name} belongs to workspace {workspace}")


def disable_user(name: Name) -> None:
    """Let a user in no more and end the user's sessions."""
    with access() as people:
        people.disable(name, getpass.getuser())
    print(f"user {name} is let in no more")


def reset_user(name: Name, password_stdin: ByInput = False) -> None:
    """Set a new password, let the user in again and end the sessions of before."""
    password, shown = _password(password_stdin)
    with access() as people:
        people.reset(name, password, getpass.getuser())
    print(f"user {name} has a new password" + shown)


def new_key(name: Name, role: Role = "user", json: Json = False, workspace: Workspace = DEFAULT) -> None:
    """Make an API key; it is shown this once."""
    with access() as people:
        key = people.new_key(name, role, getpass.getuser(), workspace)
    if json:
        emit({"name": name, "role": role, "key": key})
        return
    print(f"key {name} ({role}); keep it, it is shown this once:")
    print(key)


def list_keys(json: Json = False) -> None:
    """List the API keys made here, without the keys."""
    with access() as people:
        _listed(people.keys(), "keys", json)


def revoke_key(name: Name) -> None:
    """Let a key in no more, nor the sessions begun with it."""
    with access() as people:
        people.revoke(name, getpass.getuser())
    print(f"key {name} is let in no more")


@contextmanager
def access() -> Iterator[People]:
    """Open who may come in; what cannot be done ends the command with its sentence."""
    people = build.people(load_settings())
    try:
        yield people
    except AccessError as error:
        raise wrong(str(error)) from None
    finally:
        people.close()


def _password(piped: bool) -> tuple[str, str]:
    """Return a password, and a sentence that shows it when it was made here."""
    if piped:
        return sys.stdin.readline().rstrip("\r\n"), ""
    if sys.stdin.isatty():
        return typer.prompt("Password", hide_input=True, confirmation_prompt=True), ""
    token_urlsafe = secrets.token_urlsafe(12)
    return token_urlsafe, f"\npassword, shown this once: {token_urlsafe}"


def _listed(accounts: list[Account], title: str, json: bool) -> None:
    rows = [
        {
            "name": account.name,
            "role": account.role,
            "workspace": account.workspace,
            "active": account.active,
            "created_at": account.created_at,
        }
        for account in accounts
    ]
    if json:
        emit({title: rows})
        return
    heads = ("name", "role", "workspace", "state", "since (UTC)")
    table(
        heads,
        (
            (r["name"], r["role"], r["workspace"], "active" if r["active"] else "out", r["created_at"])
            for r in rows
        ),
        title,
    )
