"""Writes pipeline/text/kindred.npz, words of like meaning: `python -m evalsets.fit_kindred` (a minute).

Each stem of the embedding model's vocabulary stands for itself as its most frequent word, read alone; its
kindred are those with the nearest vectors. No text enters but the vocabulary (Apache-2.0, see
pipeline/knowledge/NOTICE).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.knowledge.embedding import MiniLM
from pipeline.text.kindred import STEPS, TABLE
from pipeline.text.sentences import FIRST_WORD, STOP_WORDS, VOCABULARY, stem

NEAREST = 16  # kindred a stem may name; those that name it are its kindred, too
LEAST = 0.4  # cosine that two words must have
SHORTEST = 3  # letters of a word
ROWS = 1000  # compared at a time


def words() -> dict[str, str]:
    """Return for each stem its most frequent word; stop words and word pieces are left out."""
    lines = VOCABULARY.read_text(encoding="utf-8").splitlines()[FIRST_WORD:]
    stops = {stem(word) for word in STOP_WORDS}
    chosen: dict[str, str] = {}
    for word in lines:
        if len(word) >= SHORTEST and word.isascii() and word.isalpha() and stem(word) not in stops:
            chosen.setdefault(stem(word), word)
    return chosen


def pairs(vectors: NDArray[np.float32]) -> dict[tuple[int, int], float]:
    """Return the likeness of all kindred, both ways; the vectors' mean is taken away first."""
    centred = vectors - vectors.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    likeness: dict[tuple[int, int], float] = {}
    for first in range(0, len(centred), ROWS):
        block = centred[first : first + ROWS] @ centred.T
        nearest = np.argpartition(-block, NEAREST + 1, axis=1)[:, : NEAREST + 1]
        for row, others in enumerate(nearest):
            for other in others.tolist():
                if other != first + row and block[row, other] >= LEAST:
                    likeness[first + row, other] = likeness[other, first + row] = float(block[row, other])
    return likeness


def main() -> None:
    """Embed the words one by one and write the table."""
    chosen, model = words(), MiniLM()
    likeness = pairs(np.stack([model.vector(word) for word in chosen.values()]))
    order = sorted(likeness)
    counts = np.bincount([first for first, _ in order], minlength=len(chosen))
    np.savez_compressed(
        TABLE,
        stems=np.frombuffer("\n".join(chosen).encode("ascii"), np.uint8),
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32),
        others=np.array([other for _, other in order], np.uint16),
        likeness=np.array([round(STEPS * min(likeness[pair], 1.0)) for pair in order], np.uint8),
    )
    print(f"{len(chosen)} stems, {len(order)} kindred, {TABLE.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
