"""Which tables there are at a shared address, asked for in a thread: a silent store holds nobody up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from pipeline.errors import KnowledgeError

FRESH_SECONDS = 1.0  # how long the names are believed
WAIT_SECONDS = 3.0  # how long one who asks is kept waiting
FIRST, AGAIN = 3.0, 0.1  # times longer, for the first one and after a failure
REST_SECONDS = 5.0  # after a failure nobody waits again for so long


class NameListing:
    """The names that `ask` returns; it may take its time, and raise what it likes."""

    def __init__(self, ask: Callable[[], Iterable[str]], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._names: frozenset[str] = frozenset()
        self._failure: Exception | None = None
        self._until = float("-inf")  # when the store is asked again
        self._asking: Future[frozenset[str]] | None = None

    def holds(self, name: str) -> bool:
        """Say whether there is such a table; one that was there once counts as there.

        Raises what asking raised, and KnowledgeError when the store does not answer in time.
        """
        if name in self._names:
            return True
        if self._clock() >= self._until:
            self._look()
        if self._failure is not None:
            raise self._failure
        return name in self._names

    def forget(self) -> None:
        """Ask anew next time."""
        self._names, self._until = frozenset(), float("-inf")

    def _look(self) -> None:
        if self._asking is None:
            self._asking = Future()
            threading.Thread(target=_run, args=(self._ask, self._asking), daemon=True).start()
        asking, wait = self._asking, WAIT_SECONDS * (AGAIN if self._failure is not None else 1.0)
        if self._failure is None and not self._names:
            wait *= FIRST
        try:
            self._names, self._failure, self._asking = asking.result(wait), None, None
        except TimeoutError:
            self._failure = self._failure or KnowledgeError(
                f"the store of the documents did not answer within {wait:g} s; look at knowledge.place and"
                " at the address its variables name",
                "store_refused",
            )
        except Exception as error:  # whatever the store's client raises, its caller names
            self._failure, self._asking = error, None
        self._until = self._clock() + (FRESH_SECONDS if self._failure is None else REST_SECONDS)


def _run(ask: Callable[[], Iterable[str]], result: Future[frozenset[str]]) -> None:
    try:
        result.set_result(frozenset(ask()))
    except Exception as error:  # a thread's exception goes to who waits for it
        result.set_exception(error)
