"""The running summary of a conversation: one line for each turn that left the window, oldest first."""

from __future__ import annotations

from pipeline.citations import unmarked
from pipeline.text.sentences import rarity, sentences, words

LINE = 180  # characters of a turn
LONGEST = 1_200  # characters of the whole


def extended(summary: str, question: str, answer: str) -> str:
    """Return the summary with one more turn; the oldest turns lose their answers, then go."""
    lines = [*filter(None, summary.split("\n")), _line(question, answer)]
    size = sum(map(len, lines)) + len(lines) - 1
    for number, line in enumerate(lines[:-1]):
        if size <= LONGEST:
            break
        short, _, _ = line.partition(" — ")
        size -= len(line) - len(short)
        lines[number] = short
    while size > LONGEST and len(lines) > 1:
        size -= len(lines.pop(0)) + 1
    return "\n".join(lines)


def _line(question: str, answer: str) -> str:
    start = " ".join(question.split())[: LINE // 2]
    gist = _gist(question, answer)[: LINE - len(start)]
    return f"- {start} — {gist}" if gist else f"- {start}"


def _gist(question: str, answer: str) -> str:
    """Return the sentence of the answer that shares most with the question, the first among equals."""
    text = unmarked(answer)
    question_words = set(words(question))
    pieces = [" ".join(text[start:end].split()) for start, end in sentences(text)]
    return max(pieces, key=lambda piece: sum(map(rarity, question_words & set(words(piece)))), default="")
