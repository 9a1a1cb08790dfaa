"""Nobody makes the server call an address: not by a question, a document, a model's answer or a field."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from pipeline.http.api import create_app
from pipeline.knowledge.documents import Document
from pipeline.knowledge.ingest import store
from pipeline.knowledge.reading import files
from pipeline.models.scripted import Scripted
from pipeline.settings import load_settings
from tests.pipeline.served import served
from tests.pipeline.turns import make_pipeline

PAGE = """<html><head><base href="{at}/"><link rel="stylesheet" href="{at}/a.css">
<script src="{at}/a.js"></script>
<meta http-equiv="refresh" content="0; url={at}/m"></head><body><h1>The kettle</h1>
<p>The kettle holds two litres. <img src="{at}/p.png"> <iframe src="{at}/f"></iframe></p></body></html>"""
DRAWN = '<!DOCTYPE html [<!ENTITY x SYSTEM "{at}/entity">]><html><p>The lamp is &x; green.</p></html>'


def here(path: Path, name: str, kind: str) -> list[files.Found]:
    """Read in this process what production reads in another."""
    return list(files.inside(path, name, kind))


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[str, list[str]]]:
    """Listen on loopback; yield the address and what called it."""
    calls: list[str] = []

    async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append((await reader.readline()).decode("latin-1"))
        writer.close()

    server = await asyncio.start_server(called, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", calls


async def test_no_address_of_anybody_is_called(tmp_path: Path) -> None:
    async with listening() as (at, calls):
        folder = tmp_path / "docs"
        folder.mkdir()
        (folder / "kettle.html").write_text(PAGE.replace("{at}", at))
        (folder / "lamp.html").write_text(DRAWN.replace("{at}", at))
        (folder / "note.md").write_text(
            f"# Note\n\nSee ![x]({at}/i.png) and <img src='{at}/j.png'>, {at}/k.\n"
        )
        model = Scripted(*[f"It holds two litres [1]. ![x]({at}/q.png) [more]({at}/r)"] * 5)
        pipeline = await make_pipeline(model, documents=())
        rows = [row for path in sorted(folder.iterdir()) for row in files.read(path, path.name, here)]
        documents = [row for row in rows if isinstance(row, Document)]
        assert len(documents) == 3
        await store(documents, pipeline.rules.kb, pipeline.knowledge)
        app = create_app(pipeline, load_settings())
        async with served(app) as address, httpx.AsyncClient(base_url=address, timeout=60) as http:
            ask: dict[str, Any] = {"question": f"Summarise {at}/page: what does the kettle hold?"}
            assert (await http.post("/api/chat", json=ask)).is_success
            for field in ("api_base", "base_url", "webhook", "url"):
                assert (await http.post("/api/chat", json={**ask, field: at})).status_code == 422
            parts = [
                {"type": "text", "text": "What does the kettle hold?"},
                {"type": "image_url", "image_url": {"url": f"{at}/s.png"}},
            ]
            body = {"model": "answerdeck", "messages": [{"role": "user", "content": parts}]}
            answer = await http.post("/v1/chat/completions", json=body)
            assert answer.is_success and f"{at}/q.png" not in answer.text
            assert calls == []
            with pytest.raises(httpx.HTTPError):
                await http.get(f"{at}/probe")
        assert len(calls) == 1  # it does hear who calls
