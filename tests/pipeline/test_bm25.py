"""The full-text search in memory."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.knowledge.bm25 import K1, B, Bm25

TEXTS = ["Turn on bounce keys.", "Keys, keys and more keys for the keyboard of your machine.", "", "Sound."]


def test_the_score_is_that_of_the_formula() -> None:
    places, scores = Bm25(TEXTS).search("bounce keys")
    assert places.tolist() == [0, 1]
    lengths = [3, 5, 0, 1]  # turn bounc key | key key key keyboard machin | | sound
    mean = sum(lengths) / 4

    def weight(holding: int, times: int, length: int) -> float:
        rarity = math.log(1 + (4 - holding + 0.5) / (holding + 0.5))
        return rarity * times * (K1 + 1) / (times + K1 * (1 - B + B * length / mean))

    expected = [weight(1, 1, 3) + weight(2, 1, 3), weight(2, 3, 5)]
    assert scores == pytest.approx(expected, rel=1e-5)


def test_words_meet_in_any_form_and_a_repeated_word_counts_once() -> None:
    index = Bm25(TEXTS)
    assert np.array_equal(index.search("key")[1], index.search("KEYS key keys")[1])


@pytest.mark.parametrize("texts", [[], ["", ""], ["the of and"]])
def test_texts_without_words_are_never_found(texts: list[str]) -> None:
    places, scores = Bm25(texts).search("keys")
    assert len(places) == len(scores) == 0
