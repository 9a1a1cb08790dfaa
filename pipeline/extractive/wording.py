"""How the embedded answerer words what it found: citations, leads, titles glued to a sentence."""

from __future__ import annotations

import re

from pipeline.text.code_blocks import parted
from pipeline.text.sentences import list_marker

POINTER = re.compile(
    r"\W*(?:(?:if not, )?see|refer to|for (?:more|further) (?:information|details|help|on))\b", re.IGNORECASE
)
SUMMARY = re.compile(
    r"(?:how|why|what|where|when|advice|tips|information|automatically|add|adjust|allow|apply|attach|avoid|back"
    r"|browse|calibrate|change|check|choose|clean|clear|configure|connect|control|convert|copy|create"
    r"|customi[sz]e|define|delete|disable|display|double-check|edit|eject|enable|ensure|erase|explore|fill|find|fix|follow|force|get"
    r"|give|have|hide|ignore|import|improve|increase|install|join|keep|learn|let|limit|link|list|lock|log|make"
    r"|manage|maximi[sz]e|move|open|organi[sz]e|pair|perform|pick|play|press|prevent|print|protect|quickly|read"
    r"|record|recover|reduce|remove|rename|replace|reset|resize|resolve|restore|reverse|run|save|scan|search|see|select"
    r"|send|set|share|show|solve|speed|start|stop|store|switch|take|test|transfer|troubleshoot|try|turn|type"
    r"|understand|update|upgrade|use|view|write)\b",
    re.IGNORECASE,
)
_GLUED = re.compile(
    r"(?P<title>[A-Z][\w’'-]*(?: [\w’'-]+){2,11}?(?<=[a-z])) "
    r"(?=(?:You|Your|If|When|This|These|There|It|To|Some|Sometimes|Many|Most) [a-z])"
)
_IMAGE = re.compile(r"!?\[[^\]]*\]\([^()\s]*\.(?:svg|png|jpe?g|gif)[^()]*\)\s*", re.IGNORECASE)
_LINKED = re.compile(r"\[([^\[\]]+)\]\([^()\s]*\)")  # the source opens the page; an address is noise
_LINK = re.compile(r"\W*\[[^\]]*\]\([^()]*\)\W*")
_TWICE = re.compile(r"(?P<title>[A-Z][\w -]{1,40}?) (?=(?P=title)\b)")
LABEL = re.compile(
    r"^(?:\[!(?:note|tip|warning|important|caution)\]|(?:note|tip|warning|important|caution)\s*:)\s*",
    re.IGNORECASE,
)
CAUTION = re.compile(
    r"\W*(?:(?:caution|warning|danger|attention|careful|important)\b(?! [a-z])"
    r"|(?:please )?(?:do not|don['’]t|never|be careful|take care|avoid|beware)\b)",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"(?m)^[ \t]*(?:>[ \t]?)+")


def empty(text: str) -> bool:
    """Tell whether a sentence says nothing by itself: a heading, a question, a lead without its list."""
    return not parted(text)[1] and (
        not flat(text)
        or links(text)
        or heading(text)
        or text.rstrip().endswith((":", "?"))
        or POINTER.match(text) is not None
    )


def links(text: str) -> bool:
    """Tell whether a sentence is nothing but a link."""
    return _LINK.fullmatch(text) is not None


def heading(text: str) -> bool:
    return not parted(text)[1] and _heading(text)


def _heading(text: str) -> bool:
    return text.startswith("#") or (text[-1] not in ".!?…:;'\")]”’»。！？" and len(text.split()) <= 12)


def lead(text: str, n: int) -> str:
    """Return the sentence before the steps; one that only announces them needs no citation."""
    if heading(text):
        return f"**{flat(text)}**"
    return flat(text) if text.rstrip().endswith(":") else cited(text, n)


def named(text: str) -> str:
    """Return the heading of an option or key, as code: its brackets are no mark-up."""
    term = flat(text)
    return f"**{term}**" if "`" in term else f"**`{term}`**"


def cited(text: str, n: int) -> str:
    """Put the citation before the full stop, or after another end mark: "Open Settings [1]."

    Code keeps its lines; the citation stands with the words that lead to it, or below it.
    """
    words, code = parted(text)
    if code:
        words = flat(words)
        if not words:
            return f"{code}\n\n[{n}]"
        led = f"{words[:-1]} [{n}]:" if words.endswith(":") else cited(words, n)
        return f"{led}\n\n{code}"
    text = flat(text)
    text = f"{text[:-3]}." if text.endswith(": .") else text
    return f"{text[:-1]} [{n}]." if text.endswith(".") else f"{text} [{n}]"


def flat(text: str) -> str:
    """Return the text on one line, without list marker, heading signs, label or a title glued to it.

    Code in it keeps its lines.
    """
    words, code = parted(text)
    if code:
        return f"{flat(words)}\n\n{code}".lstrip()
    text = _QUOTED.sub("", text)
    text = LABEL.sub("", _LINKED.sub(r"\1", _IMAGE.sub("", text)).lstrip("#:").strip())
    marker = list_marker(text)
    text = " ".join((text[len(marker) :] if marker else text).split())
    glued = None if marker else _TWICE.match(text) or _GLUED.match(text)
    return text[glued.end() :] if glued else text
