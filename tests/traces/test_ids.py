"""Ids sort by time and are version 7."""

from __future__ import annotations

import uuid

from traces.ids import uuid7


def test_ids_are_version_7_and_distinct():
    ids = {uuid7() for _ in range(2000)}
    assert len(ids) == 2000
    assert {(uuid.UUID(key).version, uuid.UUID(key).variant) for key in ids} == {(7, uuid.RFC_4122)}


def test_ids_sort_by_time_even_within_a_millisecond():
    start = 1_795_000_000_000_000_000
    ids = [uuid7(start + step * 1_000) for step in range(3000)]
    assert ids == sorted(ids)


def test_the_time_is_in_the_id():
    assert uuid.UUID(uuid7(1_795_000_000_123_000_000)).int >> 80 == 1_795_000_000_123
