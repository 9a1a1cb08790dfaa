"""The breaker against a small model of what it promises, and its named cases."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.breaker import Breaker, Permit, Policy, Transition
from pipeline.rehearsal.clock import Clock

POLICY = Policy(minimum_calls=5, open_seconds=10.0, jitter=0.0, slow_seconds=2.0)


def make() -> tuple[Breaker, Clock]:
    clock = Clock()
    return Breaker("m", POLICY, clock=clock, jitter=lambda: 0.5), clock


def admitted(breaker: Breaker) -> Permit:
    permit = breaker.admit()
    assert permit is not None
    return permit


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        permit = admitted(breaker)
        permit.failed("provider_5xx")
        permit.left()


def succeed(breaker: Breaker, times: int = 1, seconds: float = 0.1) -> None:
    for _ in range(times):
        permit = admitted(breaker)
        permit.started(seconds)
        permit.left()


def test_opens_at_the_failure_rate_after_the_minimum_of_calls() -> None:
    breaker, _ = make()
    succeed(breaker, 2)
    fail(breaker, 1)
    assert breaker.state == "closed"
    fail(breaker, 1)
    assert breaker.state == "closed", "four calls are too few"
    fail(breaker, 1)
    assert breaker.state == "open"
    assert breaker.admit() is None


def test_old_failures_are_forgotten() -> None:
    breaker, clock = make()
    fail(breaker, 4)
    clock.now += 31
    fail(breaker, 4)
    assert breaker.state == "closed"
    assert breaker.report().calls == 4


def test_slow_first_tokens_open_it() -> None:
    breaker, _ = make()
    succeed(breaker, 1)
    succeed(breaker, 4, seconds=2.5)
    assert breaker.state == "open"
    assert "slow" in breaker.history[-1].reason


def test_a_hundred_waiters_send_three_probes() -> None:
    breaker, clock = make()
    fail(breaker, 5)
    clock.now += 10
    permits = [breaker.admit() for _ in range(100)]
    probes = [permit for permit in permits if permit is not None]
    assert len(probes) == 3
    for permit in probes:
        permit.started(0.1)
    assert breaker.state == "closed"
    assert [change.new for change in breaker.history] == ["open", "half_open", "closed"]


def test_a_failed_probe_doubles_the_rest_up_to_its_limit() -> None:
    breaker, clock = make()
    fail(breaker, 5)
    rests = []
    for _ in range(5):
        rests.append(breaker.report().retry_in_seconds)
        clock.now += rests[-1]
        fail(breaker, 1)
    assert rests == [10.0, 20.0, 40.0, 60.0, 60.0]


def test_the_rest_has_jitter() -> None:
    clock = Clock()
    low = Breaker("m", Policy(), clock=clock, jitter=lambda: 0.0)
    high = Breaker("m", Policy(), clock=clock, jitter=lambda: 1.0)
    for breaker in (low, high):
        breaker.trip("bad key")
    assert low.report().retry_in_seconds == pytest.approx(9.0)
    assert high.report().retry_in_seconds == pytest.approx(11.0)


def test_a_cancelled_probe_makes_room_for_another() -> None:
    breaker, clock = make()
    fail(breaker, 5)
    clock.now += 10
    for _ in range(10):
        admitted(breaker).left()
    assert breaker.state == "half_open"


def test_cancels_are_neutral() -> None:
    breaker, _ = make()
    for _ in range(50):
        admitted(breaker).left()
    assert breaker.report().calls == 0


def test_streams_that_break_later_count_once_as_failures() -> None:
    breaker, _ = make()
    for _ in range(5):
        permit = admitted(breaker)
        permit.started(0.1)
        permit.failed("cut")
        permit.left()
    report = breaker.report()
    assert (report.state, report.calls, report.failures) == ("open", 5, 5)


def test_late_news_from_before_the_recovery_is_ignored() -> None:
    breaker, clock = make()
    hanging = [admitted(breaker) for _ in range(20)]
    fail(breaker, 5)
    clock.now += 10
    succeed(breaker, 3)
    for permit in hanging:
        permit.failed("timeout_first_token")
        permit.left()
    assert breaker.state == "closed"


def test_a_probe_that_breaks_after_the_recovery_counts() -> None:
    breaker, clock = make()
    fail(breaker, 5)
    clock.now += 10
    probes = [admitted(breaker) for _ in range(3)]
    for probe in probes:
        probe.started(0.1)
    probes[0].failed("cut")
    report = breaker.report()
    assert (report.state, report.calls, report.failures) == ("closed", 1, 1)


def test_isolate_and_release() -> None:
    breaker, clock = make()
    breaker.isolate("maintenance")
    clock.now += 1000
    assert breaker.admit() is None
    breaker.release()
    succeed(breaker)
    assert [change.new for change in breaker.history] == ["isolated", "closed"]


def test_changes_are_told() -> None:
    told: list[Transition] = []
    breaker = Breaker("openai:m", POLICY, on_change=told.append)
    breaker.trip("status 401")
    assert [(change.name, change.old, change.new, change.reason) for change in told] == [
        ("openai:m", "closed", "open", "status 401")
    ]


@dataclass
class Naive:
    """What the breaker promises, written for clearness."""

    state: str = "closed"
    calls: list[dict[str, float]] = field(default_factory=list)
    opened: int = 0
    retry_at: float = 0.0
    era: int = 0
    running: int = 0
    proved: int = 0

    def admit(self, now: float) -> dict[str, float] | None:
        if self.state == "open" and now >= self.retry_at:
            self.state, self.running, self.proved = "half_open", 0, 0
            self.era += 1
        if self.state == "closed":
            return {"era": self.era, "probe": 0}
        if self.state == "half_open" and self.running + self.proved < POLICY.probes:
            self.running += 1
            return {"era": self.era, "probe": 1}
        return None

    def started(self, call: dict[str, float], now: float, seconds: float) -> None:
        probe = call.pop("probe", 0)
        if call["era"] != self.era:
            return
        slow = seconds > POLICY.slow_seconds
        call |= {"second": int(now), "slow": slow, "failed": 0}
        self.calls.append(call)
        if probe and self.state == "half_open":
            self.running -= 1
            self.proved += not slow
            if slow:
                self.open(now)
            elif self.proved == POLICY.probes:
                self.close()
        elif slow:
            self.weigh(now)

    def failed(self, call: dict[str, float], now: float) -> None:
        call.pop("probe", 0)
        if call["era"] != self.era:
            return
        if not any(known is call for known in self.window(now)):
            call |= {"second": int(now), "slow": 0}
            self.calls = [*self.calls, dict(call)]
            self.calls[-1]["failed"] = 1
        else:
            call["failed"] = 1
        if self.state == "half_open":
            self.open(now)
        else:
            self.weigh(now)

    def left(self, call: dict[str, float]) -> None:
        if call.pop("probe", 0) and call["era"] == self.era and self.state == "half_open":
            self.running -= 1

    def window(self, now: float) -> list[dict[str, float]]:
        self.calls = [call for call in self.calls if call["second"] > int(now) - POLICY.window_seconds]
        return self.calls

    def weigh(self, now: float) -> None:
        calls = self.window(now)
        if self.state != "closed" or len(calls) < POLICY.minimum_calls:
            return
        failures, slow = sum(call["failed"] for call in calls), sum(call["slow"] for call in calls)
        if failures / len(calls) >= POLICY.failure_rate or slow / len(calls) >= POLICY.slow_rate:
            self.open(now)

    def open(self, now: float) -> None:
        self.retry_at = now + min(POLICY.open_seconds * 2**self.opened, POLICY.longest_open_seconds)
        self.opened += 1
        self.state = "open"

    def close(self) -> None:
        self.state, self.calls, self.opened = "closed", [], 0


STEPS = st.one_of(
    st.tuples(st.just("ask"), st.integers(1, 6)),
    st.tuples(st.just("started"), st.sampled_from([0.1, 5.0])),
    st.tuples(st.sampled_from(["failed", "left"]), st.just(0)),
    st.tuples(st.just("tick"), st.sampled_from([0.25, 1.0, 5.0, 10.0, 20.0, 29.0, 30.0, 60.0])),
    st.tuples(st.sampled_from(["trip", "isolate", "release"]), st.just(0)),
    st.tuples(st.sampled_from(["all started", "all slow", "all failed"]), st.just(0)),
)
Calls = list[tuple[Permit, dict[str, float]]]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(STEPS, st.integers(0, 50)), max_size=60))
def test_it_does_what_the_naive_one_does(steps: list[tuple[tuple[str, float], int]]) -> None:
    breaker, clock = make()
    naive = Naive()
    calls: Calls = []
    for (step, value), which in steps:
        if step == "ask":
            for _ in range(int(value)):
                _ask(breaker, naive, calls, clock.now)
        elif step == "tick":
            clock.now += value
        elif step in ("trip", "isolate", "release"):
            _operate(breaker, naive, step, clock.now)
        elif step.startswith("all "):
            seconds = 5.0 if step == "all slow" else 0.1
            for call in list(calls):
                _report(
                    call, calls, naive, "failed" if step == "all failed" else "started", seconds, clock.now
                )
        elif calls:
            _report(calls[which % len(calls)], calls, naive, step, value, clock.now)
        report = breaker.report()
        assert breaker._state == naive.state
        assert report.calls == len(naive.window(clock.now))
        assert report.failures == sum(call["failed"] for call in naive.calls)
        assert report.slow == sum(call["slow"] for call in naive.calls)
        if naive.state == "open":
            assert report.retry_in_seconds == max(0.0, naive.retry_at - clock.now)


def _ask(breaker: Breaker, naive: Naive, calls: Calls, now: float) -> None:
    permit, call = breaker.admit(), naive.admit(now)
    assert (permit is None) == (call is None)
    if permit is not None and call is not None:
        calls.append((permit, call))


def _operate(breaker: Breaker, naive: Naive, step: str, now: float) -> None:
    getattr(breaker, step)("by hand")
    if step == "trip" and naive.state in ("closed", "half_open"):
        naive.open(now)
    elif step == "isolate":
        naive.state = "isolated"
    elif step == "release":
        naive.era += 1
        naive.close()


def _report(
    pair: tuple[Permit, dict[str, float]], calls: Calls, naive: Naive, step: str, value: float, now: float
) -> None:
    permit, call = pair
    if step == "started":
        if "told" not in call:
            call["told"] = 1
            permit.started(value)
            naive.started(call, now, value)
        return
    if step == "failed":
        permit.failed("cut")
        naive.failed(call, now)
    calls[:] = [other for other in calls if other[0] is not permit]
    permit.left()
    naive.left(call)
