"""What a document is and how its text is cleaned."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

LONGEST_ID = 200  # characters
LONGEST_TITLE = 500

# Characters that are not seen and only serve to hide or reorder text: soft hyphen, zero width,
# bidi controls, fillers, tags. The joiners ZWJ and ZWNJ stay: scripts and emoji need them.
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_BREAK = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LIGATURES = {
    "\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st",
    "\ufb06": "st",
}  # fmt: skip
_LIGATURE = str.maketrans(_LIGATURES)
_EMPTY_LINES = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*){2,}")


@dataclass(frozen=True, slots=True)
class Document:
    """A text with an id; what a knowledge base is made of."""

    document_id: str
    title: str
    text: str
    url: str = ""
    source: str = ""  # the file it was read from, as an absolute path; "" when it came otherwise
    where: str = ""  # file and line, for people
    given: bool = False  # the id was given by the data, not made from the file's name

    @property
    def key(self) -> str:
        """The id as 32 hexadecimal digits, safe in a filter."""
        return hashlib.blake2b(self.document_id.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file, page or row that is left out, and why, in words for people."""

    name: str
    reason: str
    source: str = ""


def clean(text: str) -> str:
    """Return the text without hidden and control characters, lone surrogates and printers' ligatures."""
    text = _SURROGATE.sub("\ufffd", _BREAK.sub("\n", text))
    text = _CONTROL.sub(" ", _HIDDEN.sub("", text)).translate(_LIGATURE)
    return _EMPTY_LINES.sub("\n\n", text).strip()


def cleaned(document: Document) -> Document:
    """Return the document with all it stores and shows made clean; an over-long id is hashed."""
    document_id = " ".join(clean(document.document_id).split())
    if len(document_id) > LONGEST_ID:
        digest = hashlib.blake2b(document_id.encode(), digest_size=8).hexdigest()
        document_id = f"{document_id[: LONGEST_ID - 17]}-{digest}"
    return replace(
        document,
        document_id=document_id,
        title=" ".join(clean(document.title).split())[:LONGEST_TITLE],
        text=clean(document.text),
        url="".join(clean(document.url).split()),
    )
