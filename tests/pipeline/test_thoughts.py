"""A model's thoughts are no answer: any tag, any cut, opening missing, unclosed; code stays."""

from __future__ import annotations

import itertools

import pytest

from pipeline.models.thoughts import Thoughts, shown

CASES = [
    ("<think>\nIs it [2]?\n</think>\n\nSwitch it on [1].", "Switch it on [1]."),
    ("<Thinking>a < b</Thinking>Yes.", "Yes."),
    ("<think>\nSwitch", ""),
    ("One. <think>hm</think>Two.", "One. Two."),
    ("[THINK]hm[/THINK]Yes.", "Yes."),
    ("<|begin_of_thought|>hm<|end_of_thought|>Yes.", "Yes."),
    ("Write `<think>` before `</think>`.", "Write `<think>` before `</think>`."),
    ("```\n<think>a</think>\n```\nSo.", "```\n<think>a</think>\n```\nSo."),
    ("a < b and c <i>d</i> [1] [", "a < b and c <i>d</i> [1] ["),
    ("<thinker>x</thinker>", "<thinker>x</thinker>"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "wanted"), CASES)
@pytest.mark.parametrize("held", [False, True])
def test_every_cut_shows_the_same(text: str, wanted: str, held: bool) -> None:
    for size, offset in itertools.product((1, 2, 3, 5, 7, 100), (0, 1, 2)):
        thoughts = Thoughts(held=held)
        pieces = [text[:offset], *(text[at : at + size] for at in range(offset, len(text), size))]
        given = "".join(thoughts.take(piece) for piece in pieces) + thoughts.end()
        assert given.strip() == wanted, (size, offset)


def test_a_thought_without_its_opening_is_held_back_until_it_ends() -> None:
    thoughts = Thoughts(held=True)
    assert [thoughts.take(piece) for piece in ("Is it", " [2]?</th", "ink>Yes", ".")] == ["", "", "Yes", "."]
    assert thoughts.unopened
    assert thoughts.thought == "Is it [2]?"


def test_an_answer_without_tags_streams_on() -> None:
    thoughts = Thoughts()
    assert [thoughts.take(piece) for piece in ("Press", " Esc", ".")] == ["Press", " Esc", "."]
    assert (thoughts.end(), thoughts.thought, thoughts.unopened) == ("", "", False)


def test_an_unclosed_thought_is_kept_as_a_thought() -> None:
    thoughts = Thoughts()
    assert thoughts.take("<think>Is it") + thoughts.end() == ""
    assert thoughts.thought == "Is it"


def test_a_whole_text_loses_its_thoughts() -> None:
    assert shown('see {x}</think>\n{"a": 1}').strip() == '{"a": 1}'
