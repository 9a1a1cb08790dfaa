"""Sentences and words: the offsets hold, lists and headings stand alone, hard input stays fast."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.sentences import ENDS, list_marker, sentences, stem, tokens, words


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Smith came at 5 p.m. on Monday. He left.", ["Dr. Smith came at 5 p.m. on Monday.", "He left."]),
        ("Use a tool, e.g. GIMP. Then save.", ["Use a tool, e.g. GIMP.", "Then save."]),
        ("Version 3.5 is out. Get it.", ["Version 3.5 is out.", "Get it."]),
        ("He was born in 1900 . She was not .", ["He was born in 1900 .", "She was not ."]),
        (
            "To do it:\n1. Open Settings.\n2. Click on Wi-Fi.\nDone",
            ["To do it:", "1. Open Settings.", "2. Click on Wi-Fi.", "Done"],
        ),
        ("# Heading\nText here", ["# Heading", "Text here"]),
        ("## 2.1. Running it\nText here", ["## 2.1. Running it", "Text here"]),
        (
            "* clean:\n  Empty the cache.\n* ls:\n  List it.",
            ["* clean:\n  Empty the cache.", "* ls:\n  List it."],
        ),
        ("* clean:\nEmpty the cache.", ["* clean:", "Empty the cache."]),
        ("Install Orca\nRefer to the help.", ["Install Orca", "Refer to the help."]),
        (
            "This line is long enough to be wrapped by an editor at\nsome width. Next.",
            ["This line is long enough to be wrapped by an editor at\nsome width.", "Next."],
        ),
        ("- a first item\n- a second item", ["- a first item", "- a second item"]),
        ("「はい。」いいえ。", ["「はい。", "」いいえ。"]),
        ('He said "Stop!" She did.', ['He said "Stop!"', "She did."]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


@given(st.text(alphabet=st.sampled_from(list("aA1.!? \n\t-#。'\")é\u2028")), max_size=200))
def test_spans_are_ordered_trimmed_and_cover_every_letter(text: str) -> None:
    spans = sentences(text)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(text[start:end] == text[start:end].strip() and end > start for start, end in spans)
    covered = "".join(text[start:end] for start, end in spans)
    assert [c for c in covered if not c.isspace()] == [c for c in text if not c.isspace()]


def test_words_fold_case_inflection_and_stop_words() -> None:
    assert words("How do I connect to the Networks?") == words("connecting network")
    assert words("Wi-Fi") == words("wifi") == ["wifi"]
    assert words("1,000 files") == ["1000", "file"]
    assert tokens("The user’s e-mail") == ["the", "user's", "email"]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("stopping", "stopped"),
        ("configuration", "configurations"),
        ("batteries", "battery"),
        ("organisation", "organize"),
        ("colour", "color"),
        ("switches", "switch"),
        ("used", "use"),
        ("managed", "management"),
        ("user's", "users"),
        ("filing", "files"),
        ("installation", "installing"),
        ("creation", "creates"),
        ("calibrating", "calibration"),
        ("connections", "connected"),
        ("written", "writes"),
        ("planning", "plans"),
    ],
)
def test_stem_joins(left: str, right: str) -> None:
    assert stem(left) == stem(right)


def test_list_marker() -> None:
    assert list_marker("1. Open Settings.") == "1."
    assert list_marker("- one") == "-"
    assert list_marker("Open 1. one") is None


@pytest.mark.parametrize("piece", [".", "a", "1.", "a-", "'a", ". ", "a\n", '("', "1,"])
def test_hard_input_stays_linear(piece: str) -> None:
    text = piece * 100_000
    started = time.process_time()
    sentences(text)
    words(text)
    assert time.process_time() - started < 20


WRITING = st.text(alphabet=st.sampled_from("ab1Aé'’-‐.,!?…。！ \n\"”)]_½İßﬁ日か"), max_size=24)


@given(WRITING | st.text(max_size=40))
def test_words_are_those_of_the_plain_patterns(text: str):
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'").replace("‐", "-")
    whole = re.sub(r"\b([^\W\d_]{1,2})-(?=[^\W\d_])", r"\1", folded)
    pattern = r"[\u3040-\u30ff\u3400-\u9fff]|\d+(?:[.,]\d+)+|[^\W_]+(?:['’][^\W_]+)*"
    plain = re.findall(pattern, whole)
    assert tokens(text) == [word.replace(",", "") if word[0].isdigit() else word for word in plain]


@given(WRITING | st.text(max_size=40))
def test_ends_of_sentences_are_those_of_the_plain_pattern(text: str):
    plain = re.finditer(r"(?<![.!?…])[.!?…]+['\"”’»)\]]*(?=\s)|[。！？]+", text)
    assert [match.span() for match in ENDS.finditer(text)] == [match.span() for match in plain]
