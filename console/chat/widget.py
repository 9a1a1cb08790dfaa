"""The chat as a widget for any web page: one script, served here, and a page that shows how."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request, Response
from jinja2 import Environment, FileSystemLoader

from pipeline.http.proxied import PREFIX

ASSETS = Path(__file__).parent / "assets"
_PAGES = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
_CACHED = {"Cache-Control": "public, max-age=600", "Cross-Origin-Resource-Policy": "cross-origin"}


def serve(app: FastAPI) -> None:
    """Add `/widget.js`, for other sites to load, and `/widget`, the demo page with the tag to copy."""
    script = (ASSETS / "widget.js").read_bytes()

    @app.get("/widget.js")
    async def widget() -> Response:
        return Response(script, media_type="text/javascript; charset=utf-8", headers=_CACHED)

    @app.get("/widget")
    async def demo(request: Request) -> Response:
        page = _PAGES.get_template("widget.html").render(
            server=str(request.base_url).rstrip("/") + request.scope.get(PREFIX, "")
        )
        return Response(page, media_type="text/html; charset=utf-8")
