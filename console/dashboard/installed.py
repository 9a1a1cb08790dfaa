"""The configuration that the console works with, and the problem of a page that cannot go on."""

from __future__ import annotations

import streamlit as st

from pipeline.errors import ConfigurationError
from pipeline.settings import Settings, load_settings


class Problem(Exception):
    """Something keeps a page from showing data: what happened, and what to do next."""

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step


@st.cache_resource
def settings(workspace: str) -> Settings:
    """Return the configuration for a workspace, or raise Problem naming what is wrong with it."""
    try:
        return load_settings(workspace=workspace)
    except ConfigurationError as error:
        raise Problem(f"The configuration cannot be used: {error}", "Correct it and restart.") from None
