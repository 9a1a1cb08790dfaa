"""Tells what somebody says from what they quote: a display's text in quotation marks is nobody's distress."""

from __future__ import annotations

import re

INSTEAD = "the message"
_QUOTED = re.compile(r"\"[^\"\n]{1,200}\"|“[^”\n]{1,200}”|„[^“”\n]{1,200}[“”]|«[^»\n]{1,200}»")
_PERSON = re.compile(
    r"\b(?:i|im|me|my|mine|myself|we|us|our|you|your|he|him|his|she|her|they|them|their|somebody|someone"
    r"|everybody|everyone|nobody|anyone|friends?|people)\b",
    re.IGNORECASE,
)
_MORTAL = re.compile(
    r"\b(?:live|living|alive|die|died|dying|death|suicid\w*|kill\w*|goodbye)\b", re.IGNORECASE
)
_LETTER = re.compile(r"[^\W\d_]")


def own_words(text: str) -> str:
    """Return the text with "the message" in place of quotations that are not their author's own feelings.

    Those are quotations without a person in them, and with one when no person stands beside them ("who sang
    …"). What is quoted alone and speaks of life and death stays.
    """
    beside = _QUOTED.sub(" ", text)
    alone = not _LETTER.search(beside)
    spoken_of = bool(_PERSON.search(beside))

    def replaced(match: re.Match[str]) -> str:
        personal = bool(_PERSON.search(match.group()))
        own = (personal and (alone or spoken_of)) or (alone and bool(_MORTAL.search(match.group())))
        return match.group() if own else INSTEAD

    return _QUOTED.sub(replaced, text)
