"""A moderator elsewhere, played by the fault server: verdicts, faults, and open or closed without one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.breaker import Breaker
from pipeline.events import Answer
from pipeline.guardrails.inbound import GuardVerdict, Inbound
from pipeline.guardrails.moderator import Handling, Moderator, ModeratorError
from pipeline.models.scripted import Scripted
from pipeline.rehearsal.server import FaultServer
from tests.pipeline.turns import ask, make_pipeline, recorded

GREY = GuardVerdict("allow", scores={"harm": 0.99})  # in doubt, whatever the threshold
CLEAR = GuardVerdict("allow", scores={"harm": 0.0})
TEXT = "How do I get rid of my neighbour?"


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def moderator(server: FaultServer, protocol: Any = "openai", **more: Any) -> Moderator:
    values = {"seconds": 10.0, "breaker": Breaker("moderator"), "key": "k", "model": "m", **more}
    return Moderator(protocol, base_url=server.openai_url, **values)


async def judged(
    server: FaultServer, fault: str, handling: Handling = Handling(), **more: Any
) -> GuardVerdict:
    server.reset(fault)
    verdict = more.pop("verdict", GREY)
    guard = Inbound(moderator=moderator(server, handling=handling, **more))
    return await guard._moderated(TEXT, verdict)


@pytest.mark.parametrize(
    ("protocol", "fault", "expected"),
    [
        ("openai", "moderation", ()),
        ("openai", "moderation?flagged=violence,self-harm/intent", ("self-harm/intent", "violence")),
        ("llama-guard", "say?text=safe", ()),
        ("llama-guard", "say?text=%0Aunsafe%0AS1,S11", ("violent-crimes", "self-harm")),
        ("llama-guard", "say?text=unsafe", ("unnamed",)),
        ("llama-guard", "say?text=unsafe%0AS99", ("S99",)),
    ],
)
async def test_both_protocols_are_read(
    server: FaultServer, protocol: str, fault: str, expected: tuple[str, ...]
) -> None:
    server.reset(fault)
    assert await moderator(server, protocol).categories(TEXT) == expected
    [request] = server.requests
    assert request.headers["authorization"] == "Bearer k"
    assert TEXT in str(request.body)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("status?code=500", "status_500"),
        ("status?code=401", "status_401"),
        ("status?code=429", "status_429"),
        ("redirect", "status_3"),
        ("login_page", "protocol"),
        ("json_error_200", "protocol"),
        ("say?text=perhaps", "protocol"),
        ("reset", "connect"),
        ("hang", "timeout"),
        ("hang_after_head", "timeout"),
    ],
)
async def test_a_fault_is_an_error_with_a_name(server: FaultServer, fault: str, reason: str) -> None:
    server.reset(fault)
    for protocol in ("openai", "llama-guard"):
        with pytest.raises(ModeratorError) as error:
            await moderator(server, protocol, seconds=0.3 if reason == "timeout" else 10.0).categories(TEXT)
        assert error.value.reason.startswith(reason)


async def test_what_keeps_failing_is_left_alone(server: FaultServer) -> None:
    server.reset("status?code=503")
    resting = moderator(server)
    reasons = []
    for _ in range(8):
        with pytest.raises(ModeratorError) as error:
            await resting.categories(TEXT)
        reasons.append(error.value.reason)
    assert reasons[-1] == "resting"
    assert len(server.requests) < 8


async def test_only_the_grey_zone_is_asked_about(server: FaultServer) -> None:
    blocked = await judged(server, "moderation?flagged=violence")
    assert (blocked.action, blocked.rule) == ("refuse", "harm:moderator:violence")
    assert "moderator:violence" in blocked.signs
    assert await judged(server, "moderation?flagged=violence", verdict=CLEAR) == CLEAR
    assert server.requests == []
    refused = GuardVerdict("refuse", "harm:x", "No.", (), {"harm": 1.0})
    assert await judged(server, "moderation", verdict=refused) == refused
    assert server.requests == []
    assert await judged(server, "moderation") == GREY


async def test_each_category_has_its_action(server: FaultServer) -> None:
    handling = Handling({"violence": "flag", "sexual": "off", "self-harm": "block"})
    flagged = await judged(server, "moderation?flagged=violence,sexual", handling)
    assert (flagged.action, flagged.signs) == ("flag", ("moderator:violence",))
    helped = await judged(server, "moderation?flagged=self-harm/intent", handling)
    assert helped.action == "refuse"
    assert "do not have to carry this alone" in helped.message


@pytest.mark.parametrize(
    ("failing", "action"),
    [
        ({}, "flag"),
        ({"harm": "open"}, "flag"),
        ({"injection": "closed"}, "flag"),
        ({"harm": "closed"}, "refuse"),
    ],
)
async def test_without_a_verdict_it_is_open_or_closed_by_what_is_feared(
    server: FaultServer, failing: Any, action: str
) -> None:
    verdict = await judged(server, "status?code=503", Handling(failing=failing))
    assert verdict.action == action
    assert "moderator:status_503" in verdict.signs


async def test_a_turn_is_refused_by_it_and_the_trace_says_so(server: FaultServer) -> None:
    server.reset("moderation?flagged=violence")
    moderation = {"protocol": "openai", "base_url": server.openai_url, "key": "k"}
    guardrails = {"moderator": moderation, "harm": "flag"}
    pipeline = await make_pipeline(Scripted("It is so [1]."), guardrails=guardrails)
    refused, _ = await ask(pipeline, "How can I kill my neighbour and hide the body?")
    fine, _ = await ask(pipeline, "How do I turn on bounce keys?")
    trace = recorded(pipeline, refused.turn_id or "")
    names = [report.name for report in pipeline.report()]
    await pipeline.close()
    assert isinstance(refused, Answer) and isinstance(fine, Answer)
    assert (refused.outcome, fine.outcome) == ("refused", "answered")
    assert trace.turn.refusal == "harm:moderator:violence"
    assert "moderator" in names
