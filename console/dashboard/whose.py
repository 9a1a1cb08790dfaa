"""Whose turns, runs, prompts and documents the pages show: those of one workspace, or of all together.

People see their own workspace. Admins of the installation choose in the sidebar, and the address keeps it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, cast

import streamlit as st

from console.dashboard import installed, visitor
from pipeline import build
from pipeline.auth import DEFAULT, Person
from traces.errors import StoreError, TracesError
from traces.queries.overview import workspaces

ALL = "*"  # in the address; no workspace can be called so
KEY = "workspace"
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Cached(Protocol[P, R_co]):
    """A function whose answers are remembered."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def clear(self) -> None: ...


def pick() -> None:
    """Draw the choice of workspace in the sidebar; nothing where there is nothing to choose."""
    person = visitor.person()
    names = known()
    if len(names) == 1:
        return
    if not person.keeps("admin"):
        st.sidebar.caption(f"Workspace **{person.workspace}**")
        return
    st.sidebar.selectbox(
        "Workspace",
        [ALL, *names],
        format_func=lambda name: "All workspaces" if name == ALL else name,
        key=KEY,
        bind="query-params",
        help="Turns, costs and runs of all workspaces together or of one. Prompts, evalsets and documents "
        f"belong to one: with all together, those of {DEFAULT} are shown.",
    )


def known() -> list[str]:
    """Return the workspaces there are and those that turns are recorded of, `default` first."""
    names = {row.name for row in visitor.people().workspaces.list()}
    recorded = _recorded(str(installed.settings(DEFAULT).data_dir.absolute()))
    return [DEFAULT, *sorted((names | set(recorded)) - {DEFAULT})]


def seen() -> str | None:
    """Return the workspace whose rows alone may be shown; None for all of them."""
    return of(visitor.person(), str(st.session_state.get(KEY) or ALL))


def of(person: Person, chosen: str) -> str | None:
    """Return the workspace that a person sees who chose one; None for all of them."""
    names = known()
    if person.keeps("admin"):
        return chosen if chosen in names and len(names) > 1 else None
    return person.workspace if len(names) > 1 else None


def own() -> str:
    """Return the workspace whose prompts, evalsets and documents are shown and changed."""
    return seen() or DEFAULT


def everything() -> bool:
    """Tell whether what is shown is of the whole installation."""
    return seen() is None


def cached(**options: Any) -> Callable[[Callable[P, R]], Cached[P, R]]:
    """Return a decorator like `st.cache_data` that keeps the answers of each workspace apart."""

    def decorate(function: Callable[P, R]) -> Cached[P, R]:
        def of_workspace(workspace: str | None, *args: P.args, **kwargs: P.kwargs) -> R:
            del workspace  # tells the cache whose answer it is
            return function(*args, **kwargs)

        place = inspect.Parameter("workspace", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        signature = inspect.signature(function)
        own_parameters = [place, *signature.parameters.values()]
        # what the cache tells functions and their arguments apart by
        of_workspace.__module__, of_workspace.__qualname__ = function.__module__, function.__qualname__
        of_workspace.__signature__ = signature.replace(parameters=own_parameters)  # type: ignore[attr-defined]
        remembered = st.cache_data(**options)(of_workspace)

        @wraps(function)
        def ask(*args: P.args, **kwargs: P.kwargs) -> R:
            return remembered(seen(), *args, **kwargs)

        ask.clear = remembered.clear  # type: ignore[attr-defined]  # Cached says so
        return cast("Cached[P, R]", ask)

    return decorate


@st.cache_resource(ttl=60, max_entries=1, show_spinner=False)
def _recorded(folder: str) -> list[str]:
    """Return the workspaces that turns of a data folder were recorded of; none while it cannot be read."""
    del folder  # tells the cache whose turns
    try:
        with build.store(installed.settings(DEFAULT)).read() as ledger:
            return workspaces(ledger)
    except (StoreError, TracesError, OSError):
        return []  # nothing of it is shown either
