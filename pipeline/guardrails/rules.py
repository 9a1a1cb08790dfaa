"""The inbound rules: a short list of patterns in rules.toml, compiled and checked at the start."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import ConfigurationError

RULES = Path(__file__).parent / "rules.toml"
Category = Literal["injection", "harm"]
_NAME = re.compile(r"<([a-z_]+)>")
_WORD = re.compile(r"[a-z]+")
_GAP = r"(?:[^\w.!?\n]++[\w'-]++){0,5}?[^\w.!?\n]++"  # up to five words, within the sentence
_TOP_LEVEL = re.compile(r"(?:[^|()]|\((?:[^()]|\([^()]*\))*\))+")  # alternatives, groups kept whole
_TILDE = re.compile(r" ?~ ?")
_ENDS = re.compile(r"[.!?\n]")
_KEYS = {"id", "category", "severity", "pattern", "when", "unless", "message"}


@dataclass(frozen=True, slots=True)
class GuardRule:
    """One pattern of rules.toml, compiled."""

    id: str
    category: Category
    severity: Literal["block", "flag"]
    pattern: re.Pattern[str]
    when: frozenset[str]
    unless: re.Pattern[str] | None
    message: str

    @property
    def name(self) -> str:
        return f"{self.category}:{self.id}"

    def matches(self, folded: str, words: set[str]) -> bool:
        """Tell whether the pattern occurs in a sentence that nothing excuses."""
        if self.when and self.when.isdisjoint(words):
            return False
        excused: dict[tuple[int, int], bool] = {}
        for match in self.pattern.finditer(folded):
            if self.unless is None:
                return True
            span = _sentence(folded, match.start(), match.end())
            if span not in excused:
                excused[span] = self.unless.search(folded, *span) is not None
            if not excused[span]:
                return True
        return False


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the bounds of the sentence (or sentences) around a match."""
    begin = max(text.rfind(mark, 0, start) for mark in ".!?\n") + 1
    close = _ENDS.search(text, end)
    return begin, len(text) if close is None else close.start()


@lru_cache(4)
def read(source: bytes, name: str) -> tuple[list[GuardRule], dict[str, str], int]:
    """Return the rules of a TOML file, the messages and how many signs block; raises ConfigurationError."""
    try:
        data = tomllib.loads(source.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{name}: not valid TOML: {error}"]) from None
    messages: dict[str, str] = data.get("messages", {})
    problems = [
        f"{name}: messages.{key} is missing"
        for key in ("empty", "length", "injection", "harm")
        if key not in messages
    ]
    signs = data.get("signs", 2)
    if not isinstance(signs, int) or signs < 1:
        problems.append(f"{name}: signs must be a whole number of at least 1 (got {signs!r})")
    rules: list[GuardRule] = []
    for entry in data.get("rule", []):
        try:
            rules.append(_rule(entry, data.get("words", {}), messages))
        except (ValueError, re.error, TypeError) as error:
            problems.append(f"{name}: rule {entry.get('id', '?')!r}: {error}")
    twice = {rule.name for rule in rules if sum(other.name == rule.name for other in rules) > 1}
    problems += [f"{name}: rule {rule!r} occurs twice" for rule in sorted(twice)]
    if problems:
        raise ConfigurationError(problems)
    return rules, messages, signs


def _rule(entry: dict[str, Any], words: dict[str, str], messages: dict[str, str]) -> GuardRule:
    unknown = sorted(set(entry) - _KEYS)
    missing = [key for key in ("id", "category", "severity", "pattern") if key not in entry]
    if unknown or missing:
        raise ValueError(f"unknown keys {unknown}" if unknown else f"{missing[0]} is missing")
    if entry["category"] not in ("injection", "harm"):
        raise ValueError(f"category {entry['category']!r} is unknown; use injection or harm")
    if entry["severity"] not in ("block", "flag"):
        raise ValueError(f"severity {entry['severity']!r} is unknown; use block or flag")
    message = entry.get("message", entry["category"])
    if message not in messages:
        raise ValueError(f"there is no message {message!r}")
    unless = entry.get("unless")
    return GuardRule(
        id=entry["id"],
        category=entry["category"],
        severity=entry["severity"],
        pattern=re.compile(_expand(entry["pattern"], words)),
        when=frozenset(_anchors(entry.get("when", []), words)),
        unless=None if unless is None else re.compile(_expand(unless, words)),
        message=message,
    )


def _expand(pattern: str, words: dict[str, str]) -> str:
    """Write out `<name>` as its words and `~` as a gap."""

    def named(match: re.Match[str]) -> str:
        if match[1] not in words:
            raise ValueError(f"there are no words called <{match[1]}>")
        return rf"\b(?:{_NAME.sub(named, words[match[1]])})(?!\w)"

    return _TILDE.sub(lambda _: _GAP, _NAME.sub(named, pattern))


def _anchors(when: Iterable[str], words: dict[str, str]) -> set[str]:
    """Return the plain words of `when`; `<name>` stands for the first word of each alternative."""
    anchors: set[str] = set()
    for entry in when:
        name = _NAME.fullmatch(entry)
        for word in _TOP_LEVEL.findall(words[name[1]]) if name else [entry]:
            plain = _WORD.match(word.lower())
            if plain is None:
                raise ValueError(f"when: {word!r} does not begin with a plain word")
            anchors.add(plain[0])
    return anchors
