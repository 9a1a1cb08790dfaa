"""Two forms of a text: clean for storage and models, folded for matching."""

from __future__ import annotations

import re
import unicodedata

_DROPPED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")
_LOOK_ALIKES = str.maketrans(
    "абвгеёзијкламнорстуѕхһԁѵԛԝієїіαβεικνορτυχγ’‘‚‛`´“”„«»‐‑‒–—−ıłøđŧħɡɩ",
    "abbreezujklamhopctysxhdvqwieiiabeikvoptuxy''''''\"\"\"\"\"------ilodthgi",
)
_LEET = str.maketrans("013457@$!|", "oieastasil")
_LEET_WORD = re.compile(
    r"(?<![^\s\"'(\[])(?=[a-z0-9@$!|]*[a-z])(?=[a-z@$!|]*[013457@$!|][a-z])[a-z0-9@$!|]{3,}"
)
_LEET_SIGN = re.compile(r"[013457@$!|][a-z]")
_SPELLED = re.compile(r"(?<!\S)(?:[a-z][ .\-_*]){3,40}[a-z](?!\S)")
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n\s*")


def clean(text: str) -> str:
    """Return the text as it may be stored: NFC, no NUL, control, bidi or tag characters.

    Tab and newline stay, line ends become newlines, lone surrogates become U+FFFD.
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _SURROGATES.sub("\ufffd", text)
    return unicodedata.normalize("NFC", _DROPPED.sub("", text))


def fold(text: str) -> str:
    """Return the text for matching: lower case, disguises undone, single spaces.

    Invisible characters, accents, look-alike letters, leet digits inside words and l e t t e r s
    spelled out are undone; newlines stay, because they end sentences.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKD", _SURROGATES.sub("", text))
        text = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Mn", "Cc") or c in "\t\n")
        text = text.lower().translate(_LOOK_ALIKES)
    text = _LINES.sub("\n", _SPACES.sub(" ", text.lower())).strip()
    if _LEET_SIGN.search(text):
        text = _LEET_WORD.sub(lambda word: word[0].translate(_LEET), text)
    return _SPELLED.sub(lambda word: re.sub(r"[ .\-_*]", "", word[0]), text)
