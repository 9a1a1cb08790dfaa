"""The quota: per user, with the time to wait."""

from __future__ import annotations

from pipeline.guardrails.quota import Quota


async def test_the_limit_is_per_user() -> None:
    quota = Quota(3)
    assert [await quota.take("ada") for _ in range(3)] == [None, None, None]
    wait = await quota.take("ada")
    assert wait is not None
    assert 1 <= wait <= 61
    assert await quota.take("bob") is None


async def test_a_refused_request_does_not_count() -> None:
    quota = Quota(2)
    waits = [await quota.take("ada") for _ in range(50)]
    assert waits[:2] == [None, None]
    assert all(wait is not None and wait <= 61 for wait in waits[2:])
