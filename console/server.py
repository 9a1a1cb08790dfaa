"""Serves the chat page and the HTTP API in this process."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Unpack

from console.binding import exposed, narrowed, taken
from console.sole import sole
from pipeline.errors import ConfigurationError
from pipeline.http.stopping import SIGNALS
from pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pipeline.steps.parts import GivenParts
    from pipeline.turn import Pipeline

YOUNG = 10_000  # new objects between two looks for garbage; Python's 700 suits scripts
CLOSE_SECONDS = 5  # what connections get once the turns are over, an open chat page for example


def run(settings: Settings, host: str, workers: int, *, chat: bool) -> None:
    """Serve until SIGTERM or Ctrl-C; running turns may end first, see `pipeline.http.stopping`."""
    _check(settings, host, workers, chat)
    with sole(settings):
        _serve(settings, host, workers, chat=chat)


def _serve(settings: Settings, host: str, workers: int, *, chat: bool) -> None:
    import uvicorn

    options = {
        "host": host,
        "port": settings.server.port,
        "log_level": os.environ.get("LOG_LEVEL", "warning").lower(),
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,  # see pipeline.http.proxied
        "timeout_graceful_shutdown": CLOSE_SECONDS,
        "timeout_keep_alive": 30,
        "limit_concurrency": None,
    }
    for number in SIGNALS:  # the server raises what stopped it once more: by then all is done
        signal.signal(number, lambda *_: None)
    if workers == 1:
        uvicorn.run(create(settings, chat=chat, alone=True), **options)
    else:
        os.environ["ANSWERDECK_SERVER__WORKERS"] = str(workers)  # each of them counts with the others
        with _shared_metrics(settings):
            uvicorn.run("console.server:worker", factory=True, workers=workers, **options)


@contextmanager
def _shared_metrics(settings: Settings) -> Iterator[None]:
    """Give the workers a folder in which their metrics add up; it lives as long as they do."""
    from pipeline.http.metrics import SHARED

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="metrics-", dir=settings.data_dir) as folder:
        os.environ[SHARED] = folder
        yield


def worker() -> FastAPI:
    """Build the application of one API process among several."""
    return create(load_settings(), chat=False, alone=True)


def create(
    settings: Settings, *, chat: bool = True, alone: bool = False, **parts: Unpack[GivenParts]
) -> FastAPI:
    """Return the application: the HTTP routes, and the chat page mounted at `/`; see `pipeline.build`.

    A process that is there for it `alone` lets its start-up out of garbage collection.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from pipeline.build import build, prepare
    from pipeline.http.api import create_app

    pipeline = build(settings, **parts)
    app = create_app(pipeline, settings, prepare=settled if alone else prepare, gentle=True)
    if chat:
        from console.chat.page import mount

        app = mount(app, pipeline, settings)
    return app


async def settled(pipeline: Pipeline) -> None:
    """Prepare the pipeline, then look through what it made once and never again.

    A full collection over libraries and index takes 0.2 s, every hundred turns or so, of whatever turn
    it meets: 1.2 ms of CPU a turn, and its worst first token. Newer objects are looked through once in YOUNG:
    a turn reads passages into thousands that stay, and looking for rings of garbage among them took 0.9 ms.
    """
    from pipeline.build import prepare

    await prepare(pipeline)
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)


def _check(settings: Settings, host: str, workers: int, chat: bool) -> None:
    problems: list[str] = []
    if workers > 1 and chat:
        problems.append(
            f"server.workers: the chat page keeps its sessions in one process, {workers} were asked;"
            " add --no-chat to serve the API alone"
        )
    problems += narrowed(settings)
    problems += exposed(settings, host) or taken(host, {"server.port": settings.server.port})
    if problems:
        raise ConfigurationError(problems)
