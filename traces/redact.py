"""Takes secrets out of what is about to be recorded: the one sink every record passes.

A cheap look at a record's texts (`suspect`, about 10 µs for 12 KB) decides whether the patterns run
at all, and over which of its texts. It looks for single rare characters, because such scans run at memory
speed, where a regular expression takes 4 ns a character. Every pattern is linear: bounded or possessive,
and none can start again inside what it has just passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, get_type_hints

from traces.records import Case, Payload, Record, Run, Score, Span, Trace, Turn, Usage, json_columns

REDACTED = "[redacted]"
_NAME = (
    r"pass(?:word|wd|phrase|code)?|pwd|secret(?:[_-]?(?:access[_-]?)?key)?|api[_-]?key|apikey|access[_-]?key"
    r"|private[_-]?key|account[_-]?key|(?:auth|access|refresh|session|bearer)?[_-]?token|credentials?|authorization"
)
_KEY = re.compile(
    r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{16,}"  # OpenAI, Anthropic
    r"|(?<![A-Za-z0-9])[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"
    r"|(?<![A-Za-z0-9])(?:gh[opsur]|hf)_[A-Za-z0-9]{30,}"
    r"|(?<![A-Za-z0-9])github_pat_[A-Za-z0-9_]{22,}"
    r"|(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{20,}"
    r"|(?<![A-Za-z0-9])(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}"
    r"|(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}"
)
_JWT = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,}+\.[A-Za-z0-9_-]{5,}+(?:\.[A-Za-z0-9_-]*+)?")
_BEARER = re.compile(r"(?i)(\b(?:bearer|basic)\s{1,4})(?=[^\s\"']{0,200}[0-9=])[A-Za-z0-9._~+/=-]{12,}+")
_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?:[^-]++|-(?!----))*+-----END [A-Z0-9 ]{0,40}-----|(?:(?:\s|\\n)*+[A-Za-z0-9+/=]{16,}+)*+)"
)
_KEY_OR_BLOCK = re.compile(_KEY.pattern + r"|-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
_LOGIN = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,30}+://[^\s:/@\"'<>]{0,200}+:)[^\s/?#@\"'<>]{1,200}+@")
_PAIR = re.compile(
    rf"(?i)((?<![a-z])(?:{_NAME})(?:\\?[\"'])?\s{{0,3}}"
    r"(?:(?:=|:=|=>)\s{0,3}(?=\S)|:\s{0,3}(?=\\?[\"'])|:\s{0,3}(?=[^\s\"']{0,200}[0-9!$%&*+=~^])))"
    r"(?:(\\?[\"'])[^\"'\\\n]{1,400}|[^\s\"'\\,;&<>()\[\]{}]{3,400})"
)
_SECRET_NAME = re.compile(rf"(?i)(?:.{{0,60}}[^a-z])?(?:{_NAME})")
_ORDER: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (_BLOCK, REDACTED),
    (_LOGIN, rf"\1{REDACTED}@"),
    (_KEY, REDACTED),
    (_JWT, REDACTED),
    (_BEARER, rf"\1{REDACTED}"),
    (_PAIR, lambda match: f"{match[1]}{match[2] or ''}{REDACTED}"),
)
_PAIR_ENDS = ("word", "wd", "phrase", "code", "pass", "secret", "key", "token", "credential", "credentials")
_PAIR_ENDS += ("authorization",)


@dataclass(frozen=True, slots=True)
class _Tell:
    """A rare character, the characters just before it, and the pattern they may belong to."""

    char: str
    width: int  # how many characters before it are compared with `lasts`
    lasts: frozenset[str]
    pattern: re.Pattern[str]
    before: int  # how far before and after it the pattern is tried
    after: int
    near: Callable[[str], bool] | None = None  # a cheap look at what stands before it


def _names_secret(before: str) -> bool:
    return before[-24:].rstrip(" \\\"'\t:").lower().endswith(_PAIR_ENDS)


def _no_rule(before: str) -> bool:
    return not before.endswith("--") or before.endswith("----")  # five dashes open a key block


def _has_scheme(before: str) -> bool:
    return "://" in before


_ENDS = ("rd", "wd", "se", "de", "ss", "et", "ey", "en", "al", "ls", "on")
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_BEFORE_VALUE = frozenset(
    (
        *_ENDS,
        *(end.upper() for end in _ENDS),
        *(end.title() for end in _ENDS),
        *(letter + mark for letter in _LOWER + _LOWER.upper() + ":\\\"'" for mark in " \t\"'\\:"),
    )
)
_DASHED = frozenset(("sk", "at", "pp", "--", *(f"x{kind}" for kind in "abeoprs")))
_LINED = frozenset(("sk", "rk", "hp", "ho", "hs", "hu", "hr", "hf", "at", "ve", "st"))
_TELLS = (
    _Tell("-", 2, _DASHED, _KEY_OR_BLOCK, 12, 80, _no_rule),
    _Tell("_", 2, _LINED, _KEY, 12, 80),
    _Tell("K", 1, frozenset("A"), _KEY, 4, 80),
    _Tell("z", 2, frozenset(("AI",)), _KEY, 4, 80),
    _Tell("J", 2, frozenset(("ey",)), _JWT, 4, 4000),
    _Tell("@", 0, frozenset(("",)), _LOGIN, 450, 1, _has_scheme),
    _Tell("=", 2, _BEFORE_VALUE, _PAIR, 30, 50, _names_secret),
    _Tell(":", 2, _BEFORE_VALUE, _PAIR, 30, 50, _names_secret),
)
_BEARERS = frozenset(("ea", "EA", "as", "AS"))
_TRIES = 100
_START = 40  # characters by which a passage is found in the prompt
_FIRST, _NEAR = 6000, 400  # characters of the prompt before the first passage, between two
_NUMBERS = (int, float, type(None))


def redact(text: str) -> str:
    """Return the text with every secret replaced by "[redacted]"."""
    for pattern, replacement in _ORDER:
        text = pattern.sub(replacement, text)
    return text


def redacted(value: Any) -> Any:
    """Return plain data (dicts, lists, texts) without its secrets, values under a secret's name included."""
    if isinstance(value, str):
        return redact(value) if suspect_text(value) else value
    if isinstance(value, dict):
        return {
            redacted(key): REDACTED
            if isinstance(item, str) and item and _is_secret_name(key)
            else redacted(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [redacted(item) for item in value]
    return value


def suspect(record: Record | Turn) -> bool:
    """Say whether a record may hold a secret; cheap, and wrong only by being too careful."""
    data: list[Any] = []
    if isinstance(record, Trace):
        texts = [*_OF[Turn](record.turn), *_OF[Payload](record.payload), *_passage_texts(record)]
        for rows in (record.usages, record.spans, record.scores):
            for row in rows:
                texts += _OF[type(row)](row)
        for span in record.spans:
            for key, value in span.attributes.items():
                if _is_secret_name(key):
                    return True
                if isinstance(value, str):
                    texts.append(value)
                elif not isinstance(value, _NUMBERS):
                    data.append(value)
    else:
        texts = list(_OF[type(record)](record))
        data += [pick(record) for pick in _DATA.get(type(record), ())]
    try:
        named = any(_names_a_secret(value, texts) for value in data)
    except RecursionError:
        return True
    return named or suspect_text("\n".join(filter(None, texts)))


def _passage_texts(trace: Trace) -> Iterator[str | None]:
    """Yield the passages' texts, without those the prompt repeats word for word, one after the other."""
    prompt, at = trace.payload.prompt or "", 0
    for passage in trace.passages:
        text = passage.text or ""
        place = prompt.find(text[:_START], at, at + (_NEAR if at else _FIRST))
        if place >= 0 and prompt.startswith(text, place):
            at = place + len(text)
        else:
            yield text
        yield from _ABOUT_PASSAGE(passage)


def suspect_text(text: str) -> bool:
    """Say whether a text holds a secret, trying the patterns only where one could be."""
    for tell in _TELLS:
        at = text.find(tell.char)
        if at >= 0 and _told(text, tell, at):
            return True
    return _told_bearer(text)


def _told(text: str, tell: _Tell, at: int) -> bool:
    char, width, lasts, find = tell.char, tell.width, tell.lasts, text.find
    tried = 0
    while at >= 0:
        if text[at - width : at] in lasts:
            start = max(0, at - tell.before)
            if tell.near is None or tell.near(text[start:at]):
                if tell.pattern.search(text, start, at + tell.after):
                    return True
                tried += 1
                if tried == _TRIES:  # crowded with false leads: one pass over everything is cheaper
                    return tell.pattern.search(text) is not None
        at = find(char, at + 1)
    return False


def _told_bearer(text: str) -> bool:
    """Look for "Bearer" and "Basic" by their rarest letter, the capital B."""
    at = text.find("B")
    while at >= 0:
        if text[at + 1 : at + 3] in _BEARERS and _BEARER.match(text, at, at + 300):
            return True
        at = text.find("B", at + 1)
    return False


@lru_cache(4096)
def _is_secret_name(key: Any) -> bool:
    return _SECRET_NAME.fullmatch(str(key)) is not None


def _names_a_secret(value: Any, texts: list[str | None]) -> bool:
    """Say whether a key within plain data is a secret's name; add the data's texts, keys too, to `texts`."""
    if isinstance(value, dict):
        texts += map(str, value)
        return any(_is_secret_name(key) or _names_a_secret(item, texts) for key, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return any(_names_a_secret(item, texts) for item in value)
    if isinstance(value, str):
        texts.append(value)
        return False
    return not isinstance(value, _NUMBERS)  # what it would be recorded as cannot be told here


def _texts(record: type) -> Callable[[Any], tuple[Any, ...]]:
    """Return what picks a record's free texts; our own ids and closed sets of words are none."""
    hints = get_type_hints(record)
    names = [
        field.name
        for field in fields(record)
        if hints[field.name] in (str, str | None) and field.name not in ("turn_id", "score_id", "run_id")
    ]
    return attrgetter(*names)


def _data(record: type) -> tuple[Callable[[Any], Any], ...]:
    return tuple(map(attrgetter, json_columns(record)))


_OF: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    record: _texts(record) for record in (Turn, Payload, Usage, Span, Score, Run, Case)
}
_ABOUT_PASSAGE = attrgetter("chunk_id", "document_id", "title", "url")
_DATA: dict[type, tuple[Callable[[Any], Any], ...]] = {record: _data(record) for record in (Run, Case)}
