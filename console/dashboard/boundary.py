"""What stands between an error of ours and the person who looks at a page."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import streamlit as st

from console.dashboard import disk, visitor, whose
from console.dashboard.installed import Problem
from evalsets.cases import cases
from pipeline.deeds import acting
from traces.ids import uuid7

P = ParamSpec("P")
log = logging.getLogger(__name__)


def guarded(draw: Callable[P, None], name: str) -> Callable[P, None]:
    """Return `draw` such that whatever it raises becomes one calm sentence, and a traceback in the log."""

    @wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            with cases.belonging(_workspace()), acting(visitor.name):
                draw(*arguments, **options)
        except Exception as error:  # the boundary of a page: nobody sees a traceback, the log has all of it
            reference = uuid7()[-8:]
            log.exception("page %r failed, reference %s", name, reference)
            _tell_full() if disk.full(error) else _tell(reference)

    return drawn


def _workspace() -> str | None:
    """Return whose evalsets a page works with; None while the configuration is broken, as the page says."""
    try:
        return whose.own()
    except Problem:
        return None


def _tell_full() -> None:
    st.error(
        f"**Not saved: {disk.SENTENCE}.**\n\nWhat was saved before is whole, and the pages go on reading it.",
        icon=":material/database_off:",
    )


def _tell(reference: str) -> None:
    st.error(
        f"**Something on this page went wrong, and it is our fault.**\n\n"
        f"What happened is in the console's log under the reference `{reference}`; "
        "nothing you saved is lost, and the other pages go on working.",
        icon=":material/report:",
    )
    st.button("Try again", key=f"again-{reference}", icon=":material/refresh:")
