"""News between machines through Redis: a provider fails on one, and the others look for themselves."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from pipeline.breaker import Transition
from pipeline.databases.redis_server import REST_SECONDS, RedisServer
from pipeline.errors import SessionsError
from traces.ids import uuid7

log = logging.getLogger(__name__)
EVERY_SECONDS = 0.5
KEPT = 100  # the newest, on the server
SECONDS = 60  # older news is no news
STREAM = "news:breakers"


class News:
    """Tells the other machines which breakers opened here, and `hear`s of theirs: a name and a reason.

    What is told while the server is gone is not told later: it is old by then.
    """

    def __init__(self, server: RedisServer, hear: Callable[[str, str], None]) -> None:
        self._server = server
        self._hear = hear
        self._me = uuid7()
        self._outgoing: deque[Transition] = deque(maxlen=KEPT)
        self._last: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="news", daemon=True)
        self._thread.start()

    def tell(self, change: Transition) -> None:
        """Tell the others of a breaker that opened; returns at once."""
        if change.new == "open":
            self._outgoing.append(change)

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        self._thread.join()
        self._server.close()

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self._exchange()
                pause = EVERY_SECONDS
            except SessionsError as error:
                log.debug("the news of other machines cannot be heard: %s", error)
                self._outgoing.clear()
                self._last, pause = None, REST_SECONDS
            self._stop.wait(pause)

    def _exchange(self) -> None:
        name = self._server.key(STREAM)
        if self._last is None:
            newest: Any = self._server.ask(lambda client: client.xrevrange(name, count=1))
            self._last = newest[0][0] if newest else "0"
        while self._outgoing:
            change = self._outgoing.popleft()
            row: Any = {"from": self._me, "breaker": change.name, "reason": change.reason}
            self._server.ask(lambda client, row=row: client.xadd(name, row, maxlen=KEPT))
            self._server.ask(lambda client: client.expire(name, SECONDS))
        rows: Any = self._server.ask(lambda client: client.xrange(name, f"({self._last}"))
        for number, row in rows:
            self._last = number
            if row.get("from") != self._me:
                self._hear(row["breaker"], row["reason"])
