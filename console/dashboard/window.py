"""The console as a server: Streamlit's, behind a door that lets in whom the chat would let in."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from console.dashboard.door import Door
from pipeline import build
from pipeline.settings import load

SCRIPT = Path(__file__).with_name("app.py")

app = st.App(SCRIPT, middleware=[Middleware(Door, people=build.people(load()))])
