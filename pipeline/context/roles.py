"""Who acts on whom in a question, when, and whether they may or must: what little words alone tell.

"Who trained the guards" and "whom did the guards train" share every word that carries meaning.
"""

from __future__ import annotations

import re

_COURTESY = re.compile(
    r"\b(?:(?:can|could|would|will) (?:you|we|i) )?(?:please )?(?:tell|show|help|let|remind|give) (?:me|us)\b"
    r"|\b(?:is|was) it that\b|\bfor(?= how long\b)"
)
_VERB_TO = re.compile(
    r"\b(how|want|need|needs|have|has|had|like|love|try|trying|able|possible|allowed|ways?|steps?|used"
    r"|required) to\b"
)
_PAST = re.compile(r"\b(?:did|was|were|had|used to)\b")
_DUTY = re.compile(r"\b(?:must|shall|(?:have|has|needs?|required) to)\b")
_LEAVE = re.compile(r"(?<=\w )(?:may|might)\b|\b(?:who|which(?: \w+){1,2}) (?:can|could)\b")
_ACTING = re.compile(
    r"\b(?:do|does|did|can|could|may|might|must|should|shall|will|would)(?:n't| not)?"
    r" (?!i\b|we\b|you\b|one\b|not\b)\w"
)
_DOING = re.compile(r"\b(?:is|are|was|were)(?: (?!i\b|we\b|you\b)\w+){1,3} \w+ing\b")
_BEING = re.compile(
    r"\b(?:is|are|was|were|am|be|been|being)\b(?!(?: \w+){0,3} \w+ing\b)|\bgets? \w+(?:ed|en)\b"
)
_ASKED = re.compile(r"\b(?:who|whom|whose|which|what)\b")
_JOINING = re.compile(
    r"(?<=\w )(?:and|or|if|unless|because|although|while|when|before|after|until|than|as)\b"
)
_PERSON = re.compile(r"\b(?:(i|we|me|us)|you)\b")
_ME = re.compile(r"\b(?:me|us)\b")
_MINE = re.compile(r"\b(?:my|mine|our|ours)\b")
_YOURS = re.compile(r"\byours?\b")
_MINUS = re.compile(r"(?<![\w.,)])[-−–] ?\d[\d.,]*")
_SIGN = re.compile(r"[^\W_]+[+#]+|\b[^\W\d_]-(?![\w-])|[<>≤≥=]+")
_CAPITALS = re.compile(r"\b(?:IT|US|WHO|AM)\b")  # names that are little words in small letters


def plain(folded: str) -> str:
    """Return a question in small letters without "could you tell me", nor the "to" of its verbs."""
    return _VERB_TO.sub(r"\1", _COURTESY.sub("", folded))


def marks(text: str, folded: str) -> frozenset[str]:
    """Return what a question tells beside its words: roles, time, duty, leave, signs and names.

    `folded` is the text in small letters; two questions that ask the same have the same marks.
    """
    bare = _COURTESY.sub("", folded)
    being = _BEING.search(bare) is not None
    holding = {
        "somebody acts": (_ACTING.search(bare) or _DOING.search(bare)) is not None and not being,
        "who is": being and "who" in bare,
        "past": _PAST.search(bare) is not None,
        "must": _DUTY.search(bare) is not None,
        "may": _LEAVE.search(bare) is not None,
        "me": _ME.search(bare) is not None,
    }
    signs = {sign.replace(" ", "") for sign in _MINUS.findall(folded) + _SIGN.findall(folded)}
    names = set() if text.isupper() else set(_CAPITALS.findall(text))
    return frozenset(name for name, holds in holding.items() if holds) | signs | names | _parties(bare)


def ordered(folded: str) -> bool:
    """Say whether the order of the words tells who does what, or what comes first.

    Where it does not, a thing and what is done to it may stand in either order.
    """
    acts = _ACTING.search(folded) is not None and _BEING.search(folded) is None
    return acts or (_ASKED.search(folded) or _JOINING.search(folded)) is not None


def anothers(folded: str, other: str) -> bool:
    """Say whether one question is of what is mine, and the other of what is yours."""
    mine, yours = _MINE.search(folded) is not None, _YOURS.search(folded) is not None
    of_mine, of_yours = _MINE.search(other) is not None, _YOURS.search(other) is not None
    return (mine and of_yours and not (of_mine or yours)) or (yours and of_mine and not (mine or of_yours))


def _parties(bare: str) -> set[str]:
    """Return who of the two that speak comes first, where a question names both."""
    first = ["I" if match[1] else "you" for match in _PERSON.finditer(bare)]
    return {f"{first[0]} first"} if len(set(first)) > 1 else set()
