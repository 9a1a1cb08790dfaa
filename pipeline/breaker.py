"""A circuit breaker: stops calling what keeps failing, and tries it again with few probes."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

State = Literal["closed", "open", "half_open", "isolated"]


@dataclass(frozen=True, slots=True)
class Policy:
    """When a breaker opens and how it comes back."""

    window_seconds: float = 30.0
    minimum_calls: int = 5
    failure_rate: float = 0.5
    slow_rate: float = 0.8
    slow_seconds: float = 8.0  # a first token later than this is a slow call
    open_seconds: float = 10.0
    longest_open_seconds: float = 60.0
    jitter: float = 0.1  # share of the open time, both ways
    probes: int = 3  # calls let through while half open; as many successes close


@dataclass(frozen=True, slots=True)
class Transition:
    """One transition, kept in the breaker's history."""

    name: str
    at: datetime  # UTC
    old: State
    new: State
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Return the JSON of the transition, within its breaker's report."""
        return {"at": self.at.isoformat(), "old": self.old, "new": self.new, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class BreakerReport:
    """How a breaker stands: what was counted in its window, and when an open one is tried again."""

    name: str
    state: State
    calls: int
    failures: int
    slow: int
    retry_in_seconds: float | None
    history: tuple[Transition, ...] = ()

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> BreakerReport:
        """Read the JSON of a report, without its history."""
        counts = body["calls"], body["failures"], body["slow"]
        return cls(body["name"], body["state"], *counts, body["retry_in_seconds"])

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of the report."""
        counts = {"calls": self.calls, "failures": self.failures, "slow": self.slow}
        return {
            "name": self.name,
            "state": self.state,
            **counts,
            "retry_in_seconds": self.retry_in_seconds,
            "history": [change.to_dict() for change in self.history],
        }


class _Second:
    """What the calls of one second came to."""

    __slots__ = ("calls", "failures", "number", "slow")

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = 0
        self.failures = 0
        self.slow = 0


class Permit:
    """Leave to make one call: say `started` or `failed` (or both, in this order), and `left` at the end."""

    __slots__ = ("_breaker", "_period", "_probing", "_second")

    def __init__(self, breaker: Breaker, period: int, probing: bool) -> None:
        self._breaker = breaker
        self._period = period
        self._probing = probing
        self._second: _Second | None = None

    def started(self, seconds: float) -> None:
        """The first token came after `seconds`: a success, unless the stream fails later."""
        self._second = self._breaker._succeeded(seconds, self._period, self._end_probe())

    def failed(self, reason: str) -> None:
        """The provider failed, before or after its first token."""
        self._breaker._failed(reason, self._second, self._period, self._end_probe())

    def left(self) -> None:
        """The call is over; without `started` or `failed` it says nothing about the provider."""
        if self._end_probe():
            self._breaker._left(self._period)

    def _end_probe(self) -> bool:
        probing, self._probing = self._probing, False
        return probing


class Breaker:
    """Guards one dependency. Times come from a monotonic clock; all methods are O(1)."""

    def __init__(
        self,
        name: str,
        policy: Policy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        on_change: Callable[[Transition], None] | None = None,
        history: int = 50,
    ) -> None:
        self.name = name
        self.policy = policy or Policy()
        self.history: deque[Transition] = deque(maxlen=history)
        self._clock = clock
        self._jitter = jitter
        self._on_change = on_change
        self._state: State = "closed"
        self._seconds: deque[_Second] = deque()
        self._calls = self._failures = self._slow = 0
        self._retry_at = 0.0
        self._opened = 0  # times in a row, for the growing open time
        self._period = 0  # grows with each half-open time and release; older calls count no more
        self._probing = self._proved = 0
        self._trusted_until = float("-inf")  # what others met is not heard before

    def admit(self) -> Permit | None:
        """Return leave for one call, or None while the dependency rests."""
        if self._state == "closed":
            return Permit(self, self._period, False)
        if self._state == "open" and self._clock() >= self._retry_at:
            self._period += 1
            self._probing = self._proved = 0
            self._change("half_open", "time to probe")
        if self._state == "half_open" and self._probing + self._proved < self.policy.probes:
            self._probing += 1
            return Permit(self, self._period, True)
        return None

    def doubt(self, reason: str) -> None:
        """Let probes find out, since another machine met failures; no more than once in the longest rest."""
        if self._state == "closed" and self._clock() >= self._trusted_until:
            self._trusted_until = self._clock() + self.policy.longest_open_seconds
            self._period += 1
            self._probing = self._proved = 0
            self._change("half_open", reason)

    def trip(self, reason: str) -> None:
        """Open at once: for failures that more calls cannot mend, such as a bad key."""
        if self._state in ("closed", "half_open"):
            self._open(reason)

    def isolate(self, reason: str = "isolated by an operator") -> None:
        """Refuse every call until `release`."""
        self._change("isolated", reason)

    def release(self, reason: str = "released by an operator") -> None:
        """Close and forget what was counted."""
        self._period += 1
        self._close(reason)

    @property
    def state(self) -> State:
        """The state as callers meet it: an open breaker whose time is over counts as half open."""
        if self._state == "open" and self._clock() >= self._retry_at:
            return "half_open"
        return self._state

    def report(self) -> BreakerReport:
        """Return the state for `/readyz`, metrics and the console."""
        self._expire(int(self._clock()))
        rests = max(0.0, self._retry_at - self._clock()) if self._state == "open" else None
        counts = self._calls, self._failures, self._slow
        return BreakerReport(self.name, self.state, *counts, rests, tuple(self.history))

    def _succeeded(self, seconds: float, period: int, probe: bool) -> _Second | None:
        if period != self._period:  # began before the last recovery: old news
            return None
        slow = seconds > self.policy.slow_seconds
        second = self._count(slow=slow)
        if probe and self._state == "half_open":
            self._probing -= 1
            self._prove(slow)
        elif slow:
            self._weigh("slow")
        return second

    def _prove(self, slow: bool) -> None:
        if slow:
            self._open("a probe was slow")
            return
        self._proved += 1
        if self._proved >= self.policy.probes:
            self._close("the probes succeeded")

    def _failed(self, reason: str, second: _Second | None, period: int, probe: bool) -> None:
        if period != self._period:
            return
        if second is not None and second.number > int(self._clock()) - self.policy.window_seconds:
            second.failures += 1  # it was counted as a success when it started
            self._failures += 1
        else:
            self._count(failed=True)
        if self._state == "half_open":
            self._open(f"a probe failed: {reason}")
        else:
            self._weigh(reason)

    def _left(self, period: int) -> None:
        if period == self._period and self._state == "half_open":
            self._probing -= 1

    def _count(self, *, failed: bool = False, slow: bool = False) -> _Second:
        number = int(self._clock())
        if not self._seconds or self._seconds[-1].number != number:
            self._expire(number)
            self._seconds.append(_Second(number))
        second = self._seconds[-1]
        second.calls += 1
        second.failures += failed
        second.slow += slow
        self._calls += 1
        self._failures += failed
        self._slow += slow
        return second

    def _expire(self, number: int) -> None:
        oldest = number - self.policy.window_seconds
        while self._seconds and self._seconds[0].number <= oldest:
            second = self._seconds.popleft()
            self._calls -= second.calls
            self._failures -= second.failures
            self._slow -= second.slow

    def _weigh(self, reason: str) -> None:
        """Open when enough calls were made and too many of them failed or were slow."""
        policy = self.policy
        if self._state != "closed":
            return
        self._expire(int(self._clock()))
        if self._calls < policy.minimum_calls:
            return
        if self._failures >= policy.failure_rate * self._calls:
            self._open(f"{self._failures} of {self._calls} calls failed, last: {reason}")
        elif self._slow >= policy.slow_rate * self._calls:
            self._open(f"{self._slow} of {self._calls} calls were slow")

    def _open(self, reason: str) -> None:
        policy = self.policy
        rest = min(policy.open_seconds * 2.0 ** min(self._opened, 30), policy.longest_open_seconds)
        rest *= 1 + policy.jitter * (2 * self._jitter() - 1)
        self._opened += 1
        self._retry_at = self._clock() + rest
        self._change("open", reason)

    def _close(self, reason: str) -> None:
        self._opened = 0
        for second in self._seconds:
            second.number = -1  # a stream that started in it may still fail
        self._seconds.clear()
        self._calls = self._failures = self._slow = 0
        self._change("closed", reason)

    def _change(self, new: State, reason: str) -> None:
        old, self._state = self._state, new
        if old != new:
            change = Transition(self.name, datetime.now(UTC), old, new, reason)
            self.history.append(change)
            if self._on_change is not None:
                self._on_change(change)
