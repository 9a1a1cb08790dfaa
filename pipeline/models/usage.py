"""Token counts we can believe: what a provider reported when it is sane, else an estimate that says so."""

from __future__ import annotations

from pipeline.models.model import Prompt, Tokens
from pipeline.text import tokens

ABSURD = 50_000_000  # no call of today's models comes near


def estimate_tokens(prompt: Prompt, characters: int) -> Tokens:
    """Estimate a call from its prompt and the number of `characters` it answered with."""
    return Tokens(tokens.estimate(prompt.render()), tokens.by_length(characters), estimated=True)


def believe(reported: Tokens | None, prompt: Prompt, characters: int) -> Tokens:
    """Return the reported counts, or an estimate when they are missing, zero, negative or absurd."""
    if reported is None or not _sane(reported, characters):
        return estimate_tokens(prompt, characters)
    return reported


def count(value: object) -> int | None:
    """Return a token count from decoded JSON, or None when it is no whole number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    if value in (float("inf"), float("-inf")) or value != int(value):
        return None
    return int(value)


def _sane(reported: Tokens, characters: int) -> bool:
    input_tokens, answered = reported.input_tokens, reported.output_tokens
    if (
        input_tokens is None
        or answered is None
        or not 0 < input_tokens < ABSURD
        or not 0 <= answered < ABSURD
    ):
        return False
    if characters and not answered:
        return False
    cached = (reported.cache_read_tokens or 0, reported.cache_write_tokens or 0)
    return min(cached) >= 0 and sum(cached) <= input_tokens
