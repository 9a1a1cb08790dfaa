"""How like texts are to lines of our own: what the harm model hears beside the vectors themselves."""

from __future__ import annotations

import numpy as np

from pipeline.guardrails.likeness import NAMES, Likeness, unit

RNG = np.random.default_rng(3)
CENTRE = RNG.normal(size=(2, 8)).astype(np.float32)
AXES = RNG.integers(-127, 127, (16, 4)).astype(np.int8)
TEXTS = unit(RNG.normal(size=(5, 2, 8)).astype(np.float32)).reshape(5, 16)


def marked() -> Likeness:
    bare = Likeness(CENTRE, AXES.astype(np.float32), np.zeros((0, 4), np.float32))
    marks = np.round(100 * bare.along(TEXTS)).astype(np.int8)
    return Likeness.stored(dict(zip(NAMES, (CENTRE, AXES, marks), strict=True)))


def test_a_line_is_most_like_itself() -> None:
    like = marked().of(TEXTS)
    assert like.shape == (5, 5)
    assert (like.argmax(axis=1) == np.arange(5)).all()
    assert np.allclose(np.diag(like), 1, atol=0.01)
    assert like.min() > 0


def test_the_scale_of_what_is_stored_says_nothing() -> None:
    marks = marked()
    doubled = Likeness.stored(dict(zip(NAMES, (CENTRE, 2.0 * AXES, 3.0 * marks.marks), strict=True)))
    assert np.allclose(doubled.of(TEXTS), marks.of(TEXTS), atol=1e-5)


def test_texts_are_read_alone_as_among_others() -> None:
    like = marked()
    assert np.allclose(np.concatenate([like.of(TEXTS[[row]]) for row in range(5)]), like.of(TEXTS), atol=1e-6)
