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
from pipeline.people import AccessError, Account, People
from pipeline.settings import load

Name = Annotated[str, typer.Argument(help="A name of letters, digits, '.', '_', '@' or '-'.")]
Role = Annotated[str, typer.Option(help="user, viewer, editor, approver or admin.")]
ByInput = Annotated[bool, typer.Option("--password-stdin", help="Read the password from the standard input.")]


def add_user(name: Name, role: Role = "user", password_stdin: ByInput = False) -> None:
    """Add a user with a password that you type, pipe in, or are shown once."""
    password, shown = _password(password_stdin)
    with _people() as people:
        people.add_user(name, role, password, getpass.getuser())
    print(f"user {name} ({role}) is added; everybody signs in from now on" + shown)


def list_users(json: Json = False) -> None:
    """List the users with their roles."""
    with _people() as people:
        _listed(people.users(), "users", json)


def disable_user(name: Name) -> None:
    """Let a user in no more and end the user's sessions."""
    with _people() as people:
        people.disable(name, getpass.getuser())
    print(f"user {name} is let in no more")


def reset_user(name: Name, password_stdin: ByInput = False) -> None:
    """Set a new password, let the user in again and end the sessions of before."""
    password, shown = _password(password_stdin)
    with _people() as people:
        people.reset(name, password, getpass.getuser())
    print(f"user {name} has a new password" + shown)


def new_key(name: Name, role: Role = "user", json: Json = False) -> None:
    """Make an API key; it is shown this once."""
    with _people() as people:
        key = people.new_key(name, role, getpass.getuser())
    if json:
        emit({"name": name, "role": role, "key": key})
        return
    print(f"key {name} ({role}); keep it, it is shown this once:")
    print(key)


def list_keys(json: Json = False) -> None:
    """List the API keys made here, without the keys."""
    with _people() as people:
        _listed(people.keys(), "keys", json)


def revoke_key(name: Name) -> None:
    """Let a key in no more, nor the sessions begun with it."""
    with _people() as people:
        people.revoke(name, getpass.getuser())
    print(f"key {name} is let in no more")


@contextmanager
def _people() -> Iterator[People]:
    people = build.people(load())
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
            "active": account.active,
            "created_at": account.created_at,
        }
        for account in accounts
    ]
    if json:
        emit({title: rows})
        return
    heads = ("name", "role", "state", "since (UTC)")
    table(
        heads,
        ((r["name"], r["role"], "active" if r["active"] else "out", r["created_at"]) for r in rows),
        title,
    )
