"""Who looks at the page."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.auth import DEFAULT


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks at the page, in one browser tab; `console` is its address, for operators only."""

    user_id: str
    tab: str
    login: str | None = None  # the name somebody signed in with
    console: str | None = None
    tongue: str = "en"  # the language of the browser
    workspace: str = DEFAULT
