"""People & keys: who may come in, with which role, and what was done about it. For admins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

import streamlit as st

from console.dashboard import clock, downloads, markup, visitor
from pipeline.auth import ROLES
from pipeline.people import AccessError, Account
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
    users, keys, audit = st.tabs(["Users", "API keys", "Audit"], key="people_tab", bind="query-params")
    with users:
        _accounts(people.users(), "users")
        _add_user()
        _change(people.users(), "disable", "Disable", people.disable)
        _reset(people.users())
    with keys:
        _accounts(people.keys(), "API keys")
        _new_key()
        _change(people.keys(), "revoke", "Revoke", people.revoke)
    with audit:
        _rows(people.events(), "access-audit")


def _accounts(accounts: list[Account], what: str) -> None:
    if not accounts:
        st.caption(f"There are no {what} yet.")
        return
    rows = [
        {
            "name": account.name,
            "role": account.role,
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
        password = st.text_input(
            "Password", type="password", help="10 characters or more", key="add-password"
        )
        if st.form_submit_button("Add user", type="primary"):
            _do(lambda: visitor.people().add_user(name, role, password, visitor.name()), f"{name} is added.")


def _new_key() -> None:
    with st.form("new-key", clear_on_submit=True):
        name = st.text_input("Name of the key", max_chars=64, key="key-name")
        role = st.selectbox("Role of the key", ROLES)
        if st.form_submit_button("Make key", type="primary"):
            try:
                key = visitor.people().new_key(name, role, visitor.name())
            except AccessError as error:
                st.error(str(error))
                return
            st.success("Copy the key now: it is shown this once.")
            st.code(key, language=None)


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
