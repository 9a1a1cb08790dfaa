"""Who looks at a page, and what the role lets that person see and do."""

from __future__ import annotations

import getpass
from typing import NoReturn

import streamlit as st

from console.dashboard import installed
from console.dashboard.door import visitor
from pipeline import build
from pipeline.access.people import People
from pipeline.auth import DEFAULT, LOCAL, Person, Role
from pipeline.http.middleware import COOKIE

# The least role that sees a page, by its address; a page that is not named here is for admins alone.
PAGES: dict[str, Role] = {
    "": "viewer",
    "home": "viewer",
    "overview": "viewer",
    "costs": "viewer",
    "alerts": "viewer",
    "breakers": "viewer",
    "evals": "viewer",
    "compare": "viewer",
    "history": "viewer",
    "knowledge": "viewer",
    "health": "viewer",
    "models": "viewer",
    "turns": "editor",  # as on the API: what people asked is for operators
    "conversations": "editor",
    "topics": "editor",
    "annotate": "editor",
    "retrieval": "editor",
    "sql": "editor",
    "playground": "editor",
    "prompts": "editor",
    "people": "admin",
    "settings": "admin",
}
# The pages that show one workspace; all others are about the whole installation.
WITHIN = frozenset(
    {
        "",
        "home",
        "overview",
        "costs",
        "alerts",
        "evals",
        "compare",
        "history",
        "knowledge",
        "models",
        "turns",
        "topics",
    }
    | {"conversations", "annotate", "retrieval", "playground", "prompts"}
)
TOGETHER: dict[str, Role] = {"sql": "admin"}  # it shows the turns of all workspaces
_WHO: dict[Role, str] = {
    "user": "people who signed in",
    "viewer": "viewers and those above them",
    "editor": "editors and those above them",
    "approver": "approvers and admins",
    "admin": "admins",
}


@st.cache_resource
def people() -> People:
    """Return who may come in."""
    return build.people(installed.settings(DEFAULT))


def token() -> str:
    """Return the token of this browser's session; empty without one."""
    return st.context.cookies.get(COOKIE, "")


def person() -> Person:
    """Return who looks; the page ends with a sentence when the session is over."""
    result = visitor(people(), f"{COOKIE}={token()}")
    if result is None:
        st.warning(f"Your session has ended. [Sign in again]({_under()}/login)", icon=":material/lock:")
        _end()
    return result


def _under() -> str:
    """Return the path under which the console lies; empty without one."""
    return installed.settings(DEFAULT).server.console_prefix


def _end() -> NoReturn:
    """End the page here; outside of a page, where nothing can end, nothing goes on either."""
    st.stop()
    raise PermissionError("nobody who may do this is signed in")


def name() -> str:
    """Return the name that changes are recorded under: who signed in, or the user of this machine."""
    result = person()
    if result is not LOCAL:
        return result.name
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def least(address: str) -> Role:
    """Return the least role that sees a page; one of all turns is for admins where workspaces share them."""
    if address in TOGETHER and len(people().workspaces.list()) > 1:
        return TOGETHER[address]
    return PAGES.get(address, "admin")


def sees(address: str) -> bool:
    """Tell whether a page is the person's to look at at all: one of the whole installation may not be."""
    return address in WITHIN or person().keeps(least(address))


def enter(address: str) -> None:
    """Let the person see the page of this address, or end it with a sentence that says who may."""
    if address not in WITHIN and person().workspace != DEFAULT:
        st.error(f"This page is about all workspaces; you belong to {person().workspace}.")
        _end()
    need(least(address), "see this page")


def need(role: Role, deed: str) -> None:
    """Go on only for a person with the role or a higher one; `deed` says what it is needed for."""
    result = person()
    if not result.may(role):
        st.error(f"Only {_WHO[role]} may {deed}; you are signed in as {result.name} ({result.role}).")
        _end()


def sign() -> None:
    """Show in the sidebar who is signed in, with the way out."""
    result = person()
    if result is not LOCAL:
        st.sidebar.caption(f"Signed in as **{result.name}** ({result.role}) · [Sign out]({_under()}/logout)")
