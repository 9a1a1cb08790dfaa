"""How often one person may ask, and how much."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.errors import SessionsError
from pipeline.guardrails.counts import Counts, RequestLimits, SharedCounts
from traces.ids import uuid7

log = logging.getLogger(__name__)
FIRST_GUESS_TOKENS = 1_500.0  # of a turn, before one was seen: five passages, the prompt, an answer
WEIGHT = 0.1  # of the newest turn in the moving mean
_GONE = (sqlite3.Error, SessionsError)
ALONE = 0.5  # share of the limits while processes cannot count together: rather too strict than open


class Quota:
    """Counts requests and tokens per user and minute, over all processes that share the counts.

    Tokens are held before they are spent: what a turn used lately, then what it used itself. The user
    is who authenticated, or the client's session; never an address a client can claim.
    """

    def __init__(
        self,
        requests_per_minute: int,
        tokens_per_minute: int | None = None,
        counts: Counts | None = None,
        clock: Callable[[], float] = time.time,
        *,
        user_turns: int | None = None,
    ) -> None:
        self._limits = RequestLimits(requests_per_minute, tokens_per_minute)
        self._user_turns = user_turns  # at once, over all processes; None: who admits turns here counts them
        self._own: Counter[str] = Counter()  # places of this process's turns
        self._counts = counts or SharedCounts()
        self._clock = clock
        self.alone = False  # the last request was counted by this process by itself
        self._by_itself: SharedCounts | None = None
        self._usual_tokens = FIRST_GUESS_TOKENS

    async def take(self, user_id: str, turn_id: str) -> float | None:
        """Count one request and hold its tokens; return None when allowed, else the seconds to wait."""
        now, tokens = self._clock(), self._usual_tokens
        try:
            wait = self._counts.take(user_id, turn_id, self._limits, tokens, now)
        except _GONE as error:
            log.error("limits are counted by this process alone, at half their height: %s", error)
            self._by_itself = self._by_itself or SharedCounts()
            wait = self._by_itself.take(user_id, turn_id, _half(self._limits), tokens, now)
            self.alone = True
        else:
            self.alone = False
        return None if wait <= 0 else max(wait, 1.0)

    def settle(self, turn_id: str, *tokens: int | None) -> None:
        """Count what a finished turn used in the place of what it held."""
        used = float(sum(count or 0 for count in tokens))
        if used:
            self._usual_tokens += WEIGHT * (used - self._usual_tokens)
        with self._logged():
            self._counts.settle(turn_id, used)

    def claim(self, user_id: str, client_turn_id: str, seconds: float) -> bool:
        """Take a client's turn on; False while the same turn is under way, here or in another process."""
        now = self._clock()
        with self._logged():
            return self._counts.claim(user_id, client_turn_id, now + seconds, now)
        return True

    def release(self, user_id: str, client_turn_id: str) -> None:
        """Give a client's turn back."""
        with self._logged():
            self._counts.release(user_id, client_turn_id)

    @contextmanager
    def place(
        self, user_id: str, seconds: float, client_turn_id: str | None = None, *, counted: bool = True
    ) -> Iterator[bool]:
        """Hold one of a user's places for a turn of so many seconds at most; False when all are taken.

        At the end the client's turn is given back too, in the same question to who counts.
        """
        turn = uuid7() if counted and self._user_turns is not None else None
        fits = turn is None or self._enter(user_id, turn, self._user_turns or 0, seconds)
        try:
            yield fits
        finally:
            if turn is not None and fits:
                self._leave(user_id, turn, client_turn_id)
            elif client_turn_id is not None:
                self.release(user_id, client_turn_id)

    def _enter(self, user_id: str, turn: str, most: int, seconds: float) -> bool:
        now = self._clock()
        fits = self._own[user_id] < max(int(most * ALONE), 1)  # when the others cannot be asked
        with self._logged():
            fits = self._counts.enter(user_id, turn, most, now + seconds, now)
        if fits:
            self._own[user_id] += 1
        return fits

    def _leave(self, user_id: str, turn: str, client_turn_id: str | None) -> None:
        self._own[user_id] -= 1
        self._own += Counter()  # forgets who has no turn any more
        with self._logged():
            self._counts.leave(user_id, turn, client_turn_id)

    def close(self) -> None:
        self._counts.close()
        if self._by_itself is not None:
            self._by_itself.close()

    @contextmanager
    def _logged(self) -> Iterator[None]:
        try:
            yield
        except _GONE as error:
            log.error("the shared counts cannot be used: %s", error)


def _half(limits: RequestLimits) -> RequestLimits:
    tokens = None if limits.tokens is None else max(int(limits.tokens * ALONE), 1)
    return RequestLimits(None if limits.requests is None else max(int(limits.requests * ALONE), 1), tokens)
