"""Turns bytes into text by rule: marks, UTF-8, the declared label as browsers read it, else no guess."""

from __future__ import annotations

import codecs
import re

from pipeline.knowledge.reading.kinds import Unreadable

SAVE = "save it as UTF-8"
_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
# Labels that browsers read as a larger set than their name says (WHATWG Encoding Standard, section 4.2).
_LABELS = {
    "windows-1252": "ansi_x3.4-1968 ascii cp1252 cp819 ibm819 iso-8859-1 iso8859-1 iso_8859-1 l1 latin1"
    " us-ascii",
    "windows-1254": "iso-8859-9 iso8859-9 iso_8859-9 latin5 l5 cp1254",
    "windows-874": "iso-8859-11 iso8859-11 tis-620 dos-874",
    "gb18030": "gb2312 gb_2312-80 gb_2312 gbk x-gbk chinese csgb2312 iso-ir-58",
    "cp932": "shift_jis shift-jis sjis x-sjis ms_kanji csshiftjis ms932 windows-31j",
    "cp949": "euc-kr ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 korean windows-949 cseuckr",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "utf-8": "utf-16 utf-16le utf-16be utf8 unicode-1-1-utf-8",  # a declaration that was read was no UTF-16
    "mac_roman": "macintosh mac x-mac-roman csmacintosh",
    "mac_cyrillic": "x-mac-cyrillic x-mac-ukrainian",
}
_READ_AS = {label: name for name, labels in _LABELS.items() for label in labels.split()}
_PYTHON = {"windows-1252": "cp1252", "windows-1254": "cp1254", "windows-874": "cp874"}

# The letters beyond A to Z of each language whose texts are still met in Windows-1252 or Mac Roman.
_ALPHABETS = (
    "äöüßé",
    "àâæçéèêëîïôùûüÿœ",
    "áéíóúüñçàèòïªº",
    "àáâãçéêíóôõúüª",
    "àèéìíîòóùú",
    "åäöæøéèêóòôü",
    "áðéíóúýþæö",
    "éëïèöüóáêâîôûúà",
    "ëçâêîôûéèïü",
)
_MARKS = "‘’“”„‚–—…•€£©®°§«»‹›¿¡½¼¾²³¹\xa0·´×±µ¶†‡™‰º ª¢¥÷"
_IN_WORD = re.compile(r"[^\W\d_][^\w\s'’`´\-‐–—./,:;&+@()\[\]·•…*\"„“”«»‘!?=<>|\\%#~^$\xad][^\W\d_]")


def decode(data: bytes, declared: str | None = None) -> str:
    """Return the text of the bytes; raises Unreadable rather than guess wrongly."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _strictly(data[len(mark) :], encoding)
    if b"\x00" in data:
        return _wide(data)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _guessed(data) if declared is None else labelled(data, declared)


def labelled(data: bytes, label: str) -> str:
    """Return the text as a browser reads it under the label."""
    label = label.strip().lower()
    name = _READ_AS.get(label, label)
    if name == "windows-1252":
        return "".join(_WESTERN[byte] for byte in data)
    return _strictly(data, _PYTHON.get(name, name))


def _strictly(data: bytes, encoding: str) -> str:
    try:
        codecs.lookup(encoding)
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        raise Unreadable(f"not valid {encoding}; {SAVE}") from None
    if not isinstance(text, str):  # codecs such as "hex" give bytes
        raise Unreadable(f"{encoding} is no encoding of text; {SAVE}")
    return text


def _wide(data: bytes) -> str:
    """Decode UTF-16 without a mark, known by its zero bytes."""
    head = data[:4000]
    even, odd, half = head[0::2].count(0), head[1::2].count(0), max(1, len(head) // 2)
    if odd > 0.4 * half and even < 0.05 * half:
        return _strictly(data, "utf-16-le")
    if even > 0.4 * half and odd < 0.05 * half:
        return _strictly(data, "utf-16-be")
    raise Unreadable("not a text file")


def _western_table() -> list[str]:
    table = []
    for byte in range(256):
        try:
            table.append(bytes([byte]).decode("cp1252"))
        except UnicodeDecodeError:
            table.append(chr(byte))  # browsers keep the five undefined bytes as controls
    return table


_WESTERN = _western_table()


def _guessed(data: bytes) -> str:
    """Try Windows-1252, then Mac Roman; each must look like one Western language."""
    for encoding in ("cp1252", "mac_roman"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if _western(text):
            return text
    raise Unreadable(f"unknown encoding; {SAVE}")


def _western(text: str) -> bool:
    """Say whether the special characters are those of one Western language, and stand where they may."""
    special = [character for character in text if ord(character) > 127]
    letters = [character.lower() for character in special if character.isalpha() and character not in "ªº"]
    signs = [character for character in special if not character.isalpha()]
    if len(special) > 0.2 * len(text) or _IN_WORD.search(text) or re.search(r"[^\W\d_a-zA-Z]{4}", text):
        return False
    if any(sign not in _MARKS for sign in signs) or re.search(r"(?<=[a-z])[¿¡±]|[±¹](?=[a-z])", text):
        return False
    if re.search(r"[a-zß-ÿ][À-ÖØ-Þ]", text):  # capitals inside words
        return False
    return not letters or max(sum(map(alphabet.count, letters)) for alphabet in _ALPHABETS) >= 0.95 * len(
        letters
    )
