"""Knows sentences that state nothing a passage could support: that something is not known, and courtesies."""

from __future__ import annotations

import re

from pipeline.text.sentences import words

STATING = 2  # content words from which another clause of the sentence states something

_DENYING = (
    r"(?:(?:do|does|did|could|can|am|'m|’m|was|have|is|are|were)(?: ?n['’]t| not)|can['’]t|cannot|unable to)"
)
_ANY = r"(?: no| not any| not enough|n['’]t any)"
_FACTS = r"(?:information|info|details?|mention|answers?)"
_PLACES = (
    r"\b(?:documents?|documentation|passages?|context|texts?|sources?|articles?|excerpts?|pages?|manual|handbook"
    r"|knowledge base|information)\b"
)
_SAYING = (
    r"(?:mention|say|state|contain|include|provide|specify|cover|give|address|discuss|describe|answer|explain"
    r"|list|indicate|tell|have)\b"
)
_SAID = (
    r"\b(?:mentioned|specified|provided|stated|covered|included|addressed|discussed|described|found|given|listed"
    r"|available|explained|answered|contained)\b"
)
_KNOWING = r"(?:know|sure|certain|aware|understand|find|found|locate|see|tell|say|answer|determine|confirm)\b"
_PERSON = re.compile(
    rf"\bi ?(?:am |was )?{_DENYING} (?:\w+ ){{0,2}}?{_KNOWING}"
    rf"|\bi ?(?:{_DENYING} have|have no|found no|see no|lack) (?:\w+ ){{0,4}}?"
    rf"(?:{_FACTS}|data|anything|knowledge|documents?|passages?|sources?|context|idea|access)\b",
    re.IGNORECASE,
)
_DOCUMENTS = re.compile(
    rf"{_PLACES} (?:(?:provided|given|available|above|here|itself|i have|you gave) )?"
    rf"(?:{_DENYING} (?:\w+ ){{0,2}}?{_SAYING}|(?:contains?|provides?|gives?|has|have|includes?|makes?) no\b)"
    rf"|\bthere(?: is| are| was| were|'s|’s){_ANY} (?:\w+ ){{0,3}}?{_FACTS}\b"
    rf"|\b(?:no|not any|not enough|insufficient) (?:\w+ ){{0,2}}?{_FACTS}\b[^.]{{0,60}}(?:{_SAID}|{_PLACES})"
    rf"|\b(?:is|are|was|were)(?: not|n['’]t) (?:\w+ )?{_SAID} (?:\w+ ){{0,3}}?(?:in|by|within|from)"
    rf" (?:\w+ ){{0,2}}?{_PLACES}",
    re.IGNORECASE,
)
_SIGNS = ("no", "n't", "n’t", "unable", "lack", "insufficient")  # each of these patterns asks for one
_CASE = re.compile(r"\W*(?:if|when|whenever|unless|until|where|because)\b", re.IGNORECASE)
_LEAD = re.compile(rf"\W*(?:based on|according to|given|from|in) (?:\w+ ){{0,2}}?{_PLACES}", re.IGNORECASE)
_QUOTED = re.compile(r"\"[^\"\n]*\"|“[^”\n]*”")
_CLAUSE = re.compile(
    r";|,\s*(?=i\b)|\b(?:but|however|although|though|so|yet|while|whereas|instead|because)\b", re.IGNORECASE
)
_COURTESY = re.compile(
    r"\W*(?:you(?:'|’)re welcome|you are welcome|hello|hi|hey|thanks?|thank you|sorry|i(?:'|’)m sorry"
    r"|i apologi[sz]e"
    r"|sure|of course|certainly|glad|happy to help|let me know|feel free|i hope|hope (?:this|that)|good luck"
    r"|here(?:'|’)?s? (?:is|are)?|is there anything)\b",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    r"\b(?:please|kindly|try|you (?:may|might|can|could|should|will need to|would need to)(?: want to| also)?"
    r"|i(?: would|['’]d)? (?:recommend|suggest|advise)(?: that)?(?: you)?) "
    r"(?:check|consult|contact|refer|visit|reach|look|see|review|ask|clarify|rephrase|provide|specify|seek)"
    r"(?:ing)?\b.*\b(?:documentation|docs|website|site|support|team|maker|vendor|provider|official|manual"
    r"|sources?|details|information|questions?|context|expert|professional|advis\w+|authorit\w+|agency|office)\b",
    re.IGNORECASE | re.DOTALL,
)
_NAMED = re.compile(r"\d|@|://|\bwww\.")
COURTEOUS = 8  # content words of the longest courtesy


def courteous(sentence: str) -> bool:
    """Tell whether a sentence is a greeting, thanks, an apology, an offer or a lead."""
    return bool(_COURTESY.match(sentence)) and len(words(sentence)) <= COURTEOUS


def deferring(sentence: str) -> bool:
    """Tell whether a sentence asks back or says where else to look, without any address or number."""
    return not _NAMED.search(sentence) and (
        sentence.rstrip().endswith("?") or bool(_ELSEWHERE.search(sentence))
    )


def unknowing(sentence: str) -> bool:
    """Tell whether a sentence says that something is not known or not in the documents, and nothing else.

    "I don't know, but it is usually blue" states something, and so does "you do not need to give details".
    """
    own = _QUOTED.sub(" ", sentence)
    if not _denies(own):
        return False
    others = [clause for clause in _CLAUSE.split(own) if len(words(clause)) >= STATING]
    return all(_denies(clause) or courteous(clause) or _LEAD.match(clause) for clause in others)


def _denies(text: str) -> bool:
    lower = text.lower()
    if not any(sign in lower for sign in _SIGNS):
        return False
    return bool(_PERSON.search(text)) or bool(_DOCUMENTS.search(text) and not _CASE.match(text))
