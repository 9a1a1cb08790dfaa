"""Small documents stay whole; long ones are cut at sentences, losing nothing."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.knowledge.chunking import LONGEST, chunk
from pipeline.knowledge.documents import Document, clean

SENTENCE = "The acceptance delay decides how long a key waits before it is registered again. "


def test_a_small_page_is_one_chunk() -> None:
    [only] = chunk(Document("keys", "Bounce keys", "Open Settings. Switch it on.", "https://x"))
    assert (only.chunk_id, only.text) == ("keys#0", "Open Settings. Switch it on.")
    text, spans = only.embedded
    assert text == "Bounce keys\nOpen Settings. Switch it on."
    assert [text[start:end] for start, end in spans] == ["Open Settings.", "Switch it on."]


def test_a_long_page_is_cut_into_parts_of_similar_size() -> None:
    text = "\n\n".join(SENTENCE * 6 for _ in range(10))
    parts = chunk(Document("d", "T", text))
    lengths = [len(part.text) for part in parts]
    assert [part.position for part in parts] == list(range(len(parts)))
    assert max(lengths) < 1.5 * min(lengths)
    assert sum(len(part.spans) for part in parts) == 60
    assert all(part.text.startswith("The") and part.text.endswith(".") for part in parts)


def test_a_title_that_begins_the_text_is_not_repeated() -> None:
    [only] = chunk(Document("d", "Keys", "Keys bounce."))
    assert only.embedded[0] == "Keys bounce."


def test_matching_folds_compatibility_forms_and_display_keeps_them() -> None:
    [only] = chunk(Document("d", "", "Ｗｉｄｅ ﬁle."))
    assert (only.text, only.searched) == ("Ｗｉｄｅ ﬁle.", "Wide file.")


def test_nothing_to_say_gives_no_chunk() -> None:
    assert chunk(Document("d", "Title", "")) == []


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=3000), st.integers(5, LONGEST))
def test_every_visible_character_lands_in_a_chunk(text: str, longest: int) -> None:
    text = clean(text)
    parts = chunk(Document("d", "T", text), longest)
    assert sorted("".join("".join(part.text.split()) for part in parts)) == sorted("".join(text.split()))
    for part in parts:
        assert all(0 <= start < end <= len(part.text) for start, end in part.spans)


def test_a_five_megabyte_line_is_cut_in_linear_time() -> None:
    def seconds(size: int) -> float:
        began = time.process_time()
        assert chunk(Document("d", "", "word " * (size // 5)))
        return time.process_time() - began

    small, large = seconds(250_000), seconds(1_000_000)
    assert large < 12 * small + 1.0
