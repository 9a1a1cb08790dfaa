"""Parts a question that asks two things, "What is a span and what is a turn?"."""

from __future__ import annotations

import re

from pipeline.context.condenser import COMMON
from pipeline.text.sentences import STOP_WORDS, rarity, tokens

TAKEN = 3  # words of the first part that a pronoun of the second one stands for
_ASKS = r"(?:how|what|when|where|who|which|why|can|could|does|do|did|is|are|was|should|may)"
_JOINED = re.compile(
    rf"(?P<first>\W*{_ASKS}\b.+?)(?:\?\s+(?:and +)?|,? and (?:also )?|; *)(?P<second>{_ASKS}\b.{{6,}})",
    re.IGNORECASE | re.DOTALL,
)
_SHORT = re.compile(  # "Where is it, and for how long?"
    r"\W*(?P<asks>where|who|what|which|when|how|why) "
    r"(?P<rest>(?:is|are|was|were|do|does|did|can|may|must) .+?),? and "
    r"(?P<second>(?:for |since )?how (?:long|often|many|much)|(?:since |until )?when|where|why|by whom)\W*",
    re.IGNORECASE,
)
_PRONOUN = re.compile(r"\b(?:it|its|they|them|their|this|that|these|those)\b", re.IGNORECASE)


def halves(question: str) -> tuple[str, str] | None:
    """Return the two questions that one is made of, None when it asks one thing.

    What a pronoun of the second one stands for follows it in brackets, as the condenser writes it.
    """
    short = _SHORT.fullmatch(question)
    if short is not None:
        return f"{short['asks']} {short['rest']}", f"{short['second']} {short['rest']}"
    match = _JOINED.fullmatch(question.strip())
    if match is None:
        return None
    first, second = match["first"].strip(), match["second"].strip()
    words = [word for word in dict.fromkeys(tokens(first)) if word not in STOP_WORDS]
    if max(map(rarity, words), default=0.0) < COMMON or not set(tokens(second)) - STOP_WORDS:
        return None  # "what do I need" asks nothing by itself
    if _PRONOUN.search(second):
        rarest = sorted(words, key=rarity, reverse=True)[:TAKEN]
        second = f"{second}  ({' '.join(word for word in words if word in rarest)})"
    return first, second
