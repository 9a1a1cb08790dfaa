"""Choosing for the person: what a control bound to the address shows the next time it is drawn."""

from __future__ import annotations

from typing import Any

import streamlit as st


def later(key: str, value: Any) -> None:
    """Let the control of this key show `value` from the next drawing on.

    A parameter that a control owns cannot be set in the address, nor a control that is drawn already.
    """
    st.session_state[_pending(key)] = value


def settle(key: str) -> None:
    """Take over what was chosen for the control of this key; call it right before the control is drawn."""
    if _pending(key) in st.session_state:
        st.session_state[key] = st.session_state.pop(_pending(key))


def _pending(key: str) -> str:
    return f"chosen-{key}"
