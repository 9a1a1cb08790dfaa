"""What a document is, and how its text is cleaned before anything reads it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Document:
    """A text with an id; `extra` holds fields that travel along unread."""

    document_id: str
    title: str
    text: str
    url: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The id as 32 hexadecimal digits, safe in a filter and a file name."""
        return hashlib.blake2b(self.document_id.encode(), digest_size=16).hexdigest()


# Unseen characters that only serve to hide or reorder text: soft hyphen, zero width, bidi controls,
# variation selectors' neighbours, tags, noncharacters. ZWJ and ZWNJ stay: scripts and emoji need them.
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Return the text without hidden characters, control characters and lone surrogates."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n\n")
    text = _SURROGATE.sub("\ufffd", text)
    return _CONTROL.sub(" ", _HIDDEN.sub("", text)).strip()
