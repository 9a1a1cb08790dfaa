"""People & keys: who may come in, with which role, and what was done about it. For admins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from html import escape
from typing import Any

import streamlit as st

from console.dashboard import bases, clock, downloads, markup, visitor
from pipeline.access.people import AccessError, Account
from pipeline.auth import DEFAULT, ROLES
from traces.errors import Unknown

_STATE = {True: "active", False: "out"}


def page() -> None:
    """Draw the page."""
    visitor.need("admin", "see who may come in")
    st.title("People & keys")
    people = visitor.people()
    if not people.closed:
        st.info(
            "Nobody has to sign in yet: only this machine can connect. With the first user or key,"
            " everybody must sign in at once, you too. Make yourself an admin first."
        )
    users, keys, workspaces, audit = st.tabs(
        ["Users", "API keys", "Workspaces", "Audit"], key="people_tab", bind="query-params"
    )
    with users:
        _accounts(people.users(), "users")
        _add_user()
        _change(people.users(), "disable", "Disable", people.disable)
        _reset(people.users())
    with keys:
        _accounts(people.keys(), "API keys")
        _new_key()
        _change(people.keys(), "revoke", "Revoke", people.revoke)
    with workspaces:
        _workspaces()
    with audit:
        _rows([asdict(event) for event in people.events()], "access-audit")


def _accounts(accounts: list[Account], what: str) -> None:
    if not accounts:
        st.caption(f"There are no {what} yet.")
        return
    rows = [
        {
            "name": account.name,
            "role": account.role,
            "workspace": account.workspace,
            "state": _STATE[account.active],
            clock.head("since"): clock.short(datetime.fromisoformat(account.created_at)),
        }
        for account in accounts
    ]
    _rows(rows, what.replace(" ", "-"))


def _rows(rows: Sequence[Mapping[str, Any]], name: str) -> None:
    """Draw rows under the names of the first, with their download."""
    if not rows:
        return
    cells = [markup.row([markup.cell(escape(str(value)), "text") for value in row.values()]) for row in rows]
    markup.show(markup.table(list(rows[0]), cells), key=name)
    downloads.button([dict(row) for row in rows], name)


def _add_user() -> None:
    with st.form("add-user", clear_on_submit=True):
        name = st.text_input("Name", max_chars=64, key="add-name")
        role = st.selectbox("Role", ROLES)
        workspace = _workspace("add-workspace")
        password = st.text_input(
            "Password", type="password", help="10 characters or more", key="add-password"
        )
        if st.form_submit_button("Add user", type="primary"):
            who = (name, role, password, visitor.name(), workspace)
            _do(lambda: visitor.people().add_user(*who), f"{name} is added.")


def _new_key() -> None:
    with st.form("new-key", clear_on_submit=True):
        name = st.text_input("Name of the key", max_chars=64, key="key-name")
        role = st.selectbox("Role of the key", ROLES)
        workspace = _workspace("key-workspace")
        if st.form_submit_button("Make key", type="primary"):
            try:
                key = visitor.people().new_key(name, role, visitor.name(), workspace)
            except AccessError as error:
                st.error(str(error))
                return
            st.success("Copy the key now: it is shown this once.")
            st.code(key, language=None)


def _workspace(key: str) -> str:
    """Return the workspace chosen; nothing is asked while there is only one."""
    names = [workspace.name for workspace in visitor.people().workspaces.list()]
    return st.selectbox("Workspace", names, key=key) if len(names) > 1 else DEFAULT


def _workspaces() -> None:
    """Show who is in which workspace with which documents, and let an admin change that."""
    st.caption(
        "People see the knowledge bases of their own workspace alone, and their conversations in it."
        " What nobody gave away belongs to `default`, whose viewers and those above them see this console."
    )
    workspaces = visitor.people().workspaces
    rows = workspaces.list()
    table = [
        {"name": r.name, "users": r.users, "API keys": r.keys, "knowledge bases": ", ".join(r.bases)}
        for r in rows
    ]
    _rows(table, "workspaces")
    with st.form("add-space", clear_on_submit=True):
        name = st.text_input("New workspace", max_chars=32, key="space-name")
        if st.form_submit_button("Add workspace", type="primary"):
            _do(lambda: workspaces.add(name or "", visitor.name()), f"{name} is added.")
    if len(rows) < 2:
        return
    names = [row.name for row in rows]
    with st.form("give-base", clear_on_submit=True):
        kb = st.selectbox("Knowledge base", bases.names(), index=None, key="given-base")
        owner = st.selectbox("belongs to", names, key="given-to")
        if st.form_submit_button("Give") and kb:
            _do(lambda: workspaces.give(owner, kb, visitor.name()), f"{kb} belongs to {owner}.")
    with st.form("remove-space"):
        name = st.selectbox("Empty workspace", names[1:], index=None, key="removed-space")
        if st.form_submit_button("Remove") and name:
            _do(lambda: workspaces.remove(name, visitor.name()), f"{name} is removed.")


def _reset(users: list[Account]) -> None:
    if not users:
        return
    with st.form("reset", clear_on_submit=True):
        name = st.selectbox("User", [user.name for user in users], key="reset-name")
        password = st.text_input("New password", type="password", help="10 characters or more")
        if st.form_submit_button("Set password"):
            _do(
                lambda: visitor.people().reset(name, password, visitor.name()),
                f"{name} has a new password and must sign in again.",
            )


def _change(accounts: list[Account], key: str, label: str, change: Callable[[str, str], None]) -> None:
    """Offer to let somebody in no more."""
    names = [account.name for account in accounts if account.active]
    if not names:
        return
    with st.form(key):
        name = st.selectbox(label, names, index=None, key=f"{key}-name")
        if st.form_submit_button(label) and name:
            _do(lambda: change(name, visitor.name()), f"{name} is let in no more.")


def _do(change: Callable[[], None], done: str) -> None:
    """Make a change and show the page anew, or say what is wrong with it."""
    try:
        change()
    except (AccessError, Unknown) as error:
        st.error(str(error))
        return
    st.toast(done)
    st.rerun()
