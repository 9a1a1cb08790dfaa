"""The splitter gives the same events however the bytes are cut."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.sse import Event, Splitter

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
BREAKS = st.sampled_from(["\n", "\r\n"])


@given(st.lists(TEXTS, max_size=6), BREAKS, st.lists(st.integers(0, 400), max_size=30))
def test_any_cutting_gives_the_same_events(texts: list[str], line: str, cuts: list[int]) -> None:
    data = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    stream = "".join(f": note{line}event: delta{line}data: {item}{line}{line}" for item in data).encode()
    splitter, events, start = Splitter(), list[Event](), 0
    for cut in [*sorted(min(cut, len(stream)) for cut in cuts), len(stream)]:
        events += splitter.feed(stream[start:cut])
        start = cut
    assert events + splitter.finish() == [Event("delta", item.encode()) for item in data]


def test_fields() -> None:
    splitter = Splitter()
    assert splitter.feed(b"\xef\xbb\xbfdata:a\ndata: b\nid: 1\nunknown\n\n\n\nevent: x\n\n") == [
        Event("message", b"a\nb")
    ]
    assert splitter.feed(b"data: last") == []
    assert splitter.finish() == [Event("message", b"last")]
