"""Closed network, own data folder: what every test starts from."""

from __future__ import annotations

import gc
import ipaddress
import os
import socket
import ssl
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process that a test starts compiles all anew

import httpcore2
import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers

import tests.counting  # noqa: F401  # before anything of ours is counted
from tests.databases import Databases, Sessions, databases, sessions
from tests.ready_stores import ready_stores
from tests.ready_stores import shipped_stores as shipped_stores  # a fixture

settings.register_profile("answerdeck", deadline=None)
settings.load_profile("answerdeck")
# A worker would parse each of our files for constants to try.
providers._get_local_constants = lambda: providers._local_constants

_connect = socket.socket.connect
_getaddrinfo = socket.getaddrinfo


class NetworkClosed(AssertionError):
    """A test tried to leave this machine."""


def _is_local(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else str(host)
    if text in {"", "localhost", "None"}:
        return True
    try:
        return ipaddress.ip_address(text).is_loopback or text == "0.0.0.0"
    except ValueError:
        return False


LONGEST = {  # they wait for processes, pages and kills more than they compute
    "test_chat_page",
    "test_overview_browser",
    "test_spending",
    "test_supervisor",
    "test_stopping",
    "test_metrics",
    "test_process",
    "test_real_local",
    "test_object_store",
    "test_killed",
    "test_lost_files",
    "test_postgres_killed",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: a worker that comes to one last keeps everybody waiting."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


def pytest_collection_finish() -> None:
    """Look for garbage among what tests make, not among modules: a fifth of the suite's CPU went there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_unconfigure() -> None:
    """Let modules go as they would: some libraries report what is still there at the end."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def closed_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Refuse every connection and look-up that is not loopback."""

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
            raise NetworkClosed(f"connection to {address!r}")
        return _connect(self, address)

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_local(host):
            raise socket.gaierror(socket.EAI_NONAME, f"network closed in tests: {host!r}")
        return _getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No ANSWERDECK_ variable and no key from outside; the data folder is the test's own."""
    for name in list(os.environ):
        if name.startswith("ANSWERDECK_") or name in {"OPENAI_API_KEY", "ANTHROPIC_API_KEY"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ANSWERDECK_MODELS__CROSS_ENCODER", "false")  # 0.3 s of CPU an answer


@pytest.fixture(autouse=True)
def own_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give back `__main__`: Streamlit puts the page it draws there, and new processes would import that."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="session", autouse=True)
def stores_at_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stores and readers of a test lie ready; `shipped_stores` has them made as the program does."""
    with ready_stores(tmp_path_factory.getbasetemp()):
        yield


@pytest.fixture(scope="session", autouse=True)
def certificates_at_hand() -> Iterator[None]:
    """Read the machine's certificates once and not for each client: nobody whom they vouch for is called."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpcore2, "default_ssl_context", cache(httpcore2.default_ssl_context))
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """A PostgreSQL server of this test process."""
    with databases() as running:
        yield running


@pytest.fixture
def shared_sessions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sessions]:
    """A Redis-compatible server of this test, which waits for it however busy the machine is."""
    monkeypatch.setattr("pipeline.databases.redis_server.WAIT_SECONDS", 3.0)
    with sessions() as running:
        yield running
