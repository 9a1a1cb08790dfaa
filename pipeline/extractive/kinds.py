"""What a question asks for: a time, a number, a person, and the names in it."""

from __future__ import annotations

import re

from pipeline.text.code_blocks import FENCE
from pipeline.text.sentences import STOP_WORDS, stem, tokens

_ASKS = r"(?:is|are|was|were|am|do|does|did|can|could|will|would|should|shall|must|may|has|have|had)"
_KINDS = (
    (
        "when",  # but not "what happens when it is full"
        rf"\bwhen(?=(?: exactly)? {_ASKS}\b|\W*$)|\bsince when\b"
        r"|\b(?:what (?:year|date|day|time)|which year)\b",
    ),
    ("number", r"\bhow (?:many|much|long|old|far|tall|big|large|often|high|deep|fast)\b|\bwhat percentage\b"),
    ("who", r"\bwho(?:m|se)?\b"),
    ("where", r"\bwhere\b|\bwhat (?:city|country|place|state)\b"),
    ("why", r"\bwhy\b|\bhow come\b|\breasons?\b|\bcauses?\b"),
    ("how", r"\bhow (?:do|can|to|should|would|could)\b|\bsteps\b"),
)
_CUE_TEXTS = {
    "when": r"\b1\d{3}\b|\b20\d\d\b|\b(?:january|february|march|april|may|june|july|august|september|october"
    r"|november|december|century|monday|tuesday|wednesday|thursday|friday|saturday|sunday|every|daily)\b"
    r"|\d:\d\d",
    "number": r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand"
    r"|million|billion|once|twice)\b",
    "who": r"(?-i:\b[A-Z][\w.]+ (?:[A-Z]\. )?[A-Z]\w+)",
    "where": r"(?-i:\b(?:[Ii]n|[Aa]t|[Nn]ear|[Oo]n|[Ff]rom|[Oo]f|[Tt]o) (?:the )?[A-Z]\w+)",
    "why": r"\b(?:because|due|since|so that|in order|results?|reasons?|causes?|caused|therefore)\b",
    "how": r"^\s*(?:\d+[.)]|[-*•])\s|\b(?:click|press|select|open|choose|use|run|type|enter|go to|switch)\b",
}
_ORDERS = """click press select open choose use run type enter go switch set turn put add write give export
    copy start name raise lower tick delete remove stop make look save pull push hold install create
    change connect drag search sign log tap mark send call fill take bring ask"""
_DOING = re.compile(
    rf"^\W*(?:\d+[.)]\s|(?:to [^,]{{3,60}}, )?(?:{'|'.join(_ORDERS.split())})\b)|`[a-z]+ [a-z]+[^`]*`",
    re.IGNORECASE,
)
NARROW = frozenset({"who", "when", "number", "where"})  # kinds that one fact answers
_KIND_PATTERNS = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _KINDS]
_WORD = re.compile(r"(?P<start>^|[.?!:]\s+)?(?P<word>[^\W_]+(?:[-.][^\W_]+)*)")
CUES = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _CUE_TEXTS.items()}


def kind(question: str) -> str:
    """Return what the question asks for: when, number, who, where, why, how or other."""
    for name, pattern in _KIND_PATTERNS:
        if pattern.search(question):
            return name
    return "other"


def does(text: str) -> bool:
    """Tell whether a sentence says what to do: a step, an order, a command, code."""
    return _DOING.search(text) is not None or FENCE.search(text) is not None


def names(question: str) -> set[str]:
    """Return the stems written as names: capitals within a sentence or a word, or digits."""
    return {
        stem(token)
        for match in _WORD.finditer(question)
        if _is_name(match["word"], initial=match["start"] is not None)
        for token in tokens(match["word"])
        if token not in STOP_WORDS
    }


def _is_name(word: str, *, initial: bool) -> bool:
    return word[0].isdigit() or word[1:] != word[1:].lower() or (word[0].isupper() and not initial)
