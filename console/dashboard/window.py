"""The console as a server: Streamlit's, behind a door that lets in whom the chat would let in."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from console.dashboard import exports
from console.dashboard.door import Door
from pipeline import build
from pipeline.http.provided import provider_sign_in
from pipeline.http.proxied import Proxied, Under
from pipeline.settings import load_settings

SCRIPT = Path(__file__).with_name("app.py")

_settings = load_settings()
_server, _people = _settings.server, build.people(_settings)
app = st.App(
    SCRIPT,
    routes=exports.routes(_people, lambda workspace: build.store(_settings).read(workspace=workspace)),
    middleware=[
        Middleware(Proxied, prefix=_server.console_prefix, trusted=_server.trusted_proxies),
        Middleware(Door, people=_people, elsewhere=provider_sign_in(_settings, _people)),
        Middleware(Under, prefix=_server.console_prefix),
    ],
)
