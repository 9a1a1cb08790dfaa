"""Token counts without a tokenizer: an estimate that errs on the high side."""

from __future__ import annotations

import math
import re

_WIDE = re.compile("[^\x00-\u024f]")
CHARACTERS_PER_TOKEN = 3.6  # English prose runs at 4.2 to 4.7 in current vocabularies


def estimate(text: str) -> int:
    """Return about how many tokens the text has; non-ASCII characters count as one each."""
    wide = 0 if text.isascii() else len(_WIDE.findall(text))
    return wide + by_length(len(text) - wide)


def by_length(characters: int) -> int:
    """Return about how many tokens so many characters of English are."""
    return math.ceil(characters / CHARACTERS_PER_TOKEN)
