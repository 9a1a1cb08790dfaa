"""Text as the pipeline sees it: sentences with their offsets, and stemmed content words."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

from pipeline.text.code_blocks import FENCE

VOCABULARY = Path(__file__).parents[1] / "knowledge" / "vocab.txt"  # most frequent words first
FIRST_WORD = 1996  # line of the most frequent word; special tokens and letters come before it
RAREST = 40_000  # the rank of words that are not in the vocabulary
FOLDED = 120  # characters of the longest line in a text that was folded to a width
LONGEST_SENTENCE = 800  # characters; longer runs without an end are cut at a space

STOP_WORDS = frozenset(
    """a about above after again against all also am an and any are aren't as at be because been before
    being below between both but by can cannot can't could couldn't did didn't do does doesn't doing don't
    down during each either else etc ever every few for from further get gets getting got had has hasn't
    have haven't having he her here hers herself him himself his how however i i'd i'll i'm i've if in into
    is isn't it it's its itself just let like many may me might more most much must my myself neither no nor
    not now of off on once one only or other ought our ours ourselves out over own per please rather same
    shall she should shouldn't so some still such than that that's the their theirs them themselves then
    there there's these they they're this those though through thus to too under until up upon us very via
    was wasn't we we're were weren't what what's whatever when where whether which while who who's whom
    whose why will with within without won't would wouldn't yes yet you you're your yours yourself
    yourselves""".split()  # noqa: SIM905
)

_ABBREVIATIONS = frozenset(
    """mr mrs ms dr prof st sr jr rev gen col lt sgt capt hon gov sen rep vs e.g i.e cf eg ie approx fig figs
    no nos vol pp ca al inc ltd co corp dept est ed eds jan feb mar apr jun jul aug sep sept oct nov dec lit
    u.s u.k""".split()  # noqa: SIM905
)
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+•‣◦–]|\(?\d{1,3}[.)]|[a-zA-Z][.)])[ \t]+")
_HEADING = re.compile(r"#{1,6}[ \t]+\S")
_LABELLED = re.compile(r"[ \t]*[-*+•] +\S+:$")
_ROWS = (re.compile(r"[^\W\d_][^:\n|]{0,40}: +\S"), re.compile(r".+ \| \S"))  # "field: value", "cell | cell"
# These begin with the characters themselves, and look back afterwards: so a text is skipped to them.
ENDS = re.compile(r"[.!?…。！？](?:(?<=[。！？])[。！？]*|(?<=[.!?…])(?<![.!?…].)[.!?…]*['\"”’»)\]]*(?=\s))")
_SHORT_HYPHEN = re.compile(r"-(?:(?<=\b[^\W\d_]-)|(?<=\b[^\W\d_]{2}-))(?=[^\W\d_])")
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\d++(?:[.,]\d++)++|[^\W_]++(?:['’][^\W_]++)*+")
_ASCII_TOKEN = re.compile(r"[0-9]++(?:[.,][0-9]++)++|[a-z0-9]++(?:'[a-z0-9]++)*+")  # of a lower-cased text


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the (start, end) character offsets of the sentences of `text`, in order.

    Headings, list items and table rows are sentences too; a line that only wraps is joined to
    the next one. Spans do not overlap and carry no surrounding white space.
    """
    spans: list[tuple[int, int]] = []
    for start, end in _blocks(text):
        for left, right in _split(text, start, end):
            while left < right and text[left].isspace():
                left += 1
            while right > left and text[right - 1].isspace():
                right -= 1
            if left < right:
                spans.append((left, right))
    return spans


def list_marker(sentence: str) -> str | None:
    """Return the list marker a sentence begins with ("1.", "-"), or None."""
    match = _LIST_ITEM.match(sentence)
    return match.group().strip() if match else None


def words(text: str) -> list[str]:
    """Return the content words of `text` in order: lower-cased, stemmed, without stop words."""
    return [stem(token) for token in tokens(text) if token not in STOP_WORDS]


def tokens(text: str) -> list[str]:
    """Return all words and numbers of `text`, NFKC-folded and lower-cased ("Wi-Fi" is "wifi")."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'").replace("‐", "-")
    if "-" in text:
        text = _SHORT_HYPHEN.sub("", text)
    pattern = _ASCII_TOKEN if text.isascii() else _TOKEN
    return [token.replace(",", "") if token[0].isdigit() else token for token in pattern.findall(text)]


@lru_cache(maxsize=65536)
def rarity(token: str) -> float:
    """Return how rare a word is in English, from about 0.3 ("the") to 1 (in no vocabulary)."""
    ranks = _ranks()
    rank = min(ranks.get(token, RAREST), ranks.get(stem(token), RAREST))
    return math.log(rank + 50) / math.log(RAREST + 50)


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Cut English inflection (plural, -ed, -ing, -ly, possessive) off a lower-cased word."""
    word = word.removesuffix("'s").replace("'", "")
    word = _IRREGULAR.get(word, word)
    if len(word) <= 3 or not word.isascii() or not word.isalpha():
        return word
    word = _singular(word)
    for ending in ("ingly", "edly", "ing", "ed", "ly"):
        base = word.removesuffix(ending)
        if base != word and len(base) >= 3 and any(letter in "aeiouy" for letter in base):
            word = _mended(base) if ending != "ly" else base
            break
    for ending, instead in _DERIVED:
        if word.endswith(ending) and len(word) - len(ending) >= (3 if instead == "t" else 4):
            word = word.removesuffix(ending) + instead
            break
    if word.endswith("our") and len(word) >= 6:
        word = word[:-3] + "or"
    if word.endswith("y") and word[-2] not in "aeiou":
        word = word[:-1] + "i"
    return word.removesuffix("e") if len(word) > 4 else word


_IRREGULAR_PAIRS = """used:use using:use wrote:write written:write made:make making:make sang:sing sung:sing
    won:win began:begin begun:begin became:become came:come went:go gone:go going:go gave:give given:give
    took:take taken:take said:say saw:see seen:see found:find ran:run built:build held:hold kept:keep led:lead
    left:leave lost:lose met:meet paid:pay sent:send sold:sell told:tell thought:think knew:know known:know
    grew:grow grown:grow drew:draw drawn:draw broke:break broken:break spoke:speak chose:choose chosen:choose
    froze:freeze frozen:freeze hid:hide hidden:hide died:die dying:die lying:lie tied:tie men:man women:woman
    children:child people:person does:do did:do slept:sleep woke:wake rose:rise fell:fall felt:feel
    wore:wear goes:go"""
_IRREGULAR = {past: verb for past, _, verb in (pair.partition(":") for pair in _IRREGULAR_PAIRS.split())}
_DERIVED = (
    ("ization", "iz"),
    ("isation", "iz"),
    ("ication", "ic"),
    ("ation", ""),
    ("ement", ""),
    ("ment", ""),
    ("ness", ""),
    ("tion", "t"),
    ("sion", "s"),
    ("ate", ""),
    ("at", ""),
    ("ise", "iz"),
    ("able", ""),
    ("ible", ""),
)


@cache
def _ranks() -> dict[str, int]:
    lines = VOCABULARY.read_text(encoding="utf-8").splitlines()
    return {word: rank for rank, word in enumerate(lines[FIRST_WORD:]) if not word.startswith("##")}


def _singular(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith("ies"):
        return word[:-3] + ("ie" if len(word) == 4 else "y")
    if word.endswith(("xes", "ches", "shes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _mended(base: str) -> str:
    """Undo what an ending did to its base: "stopp" is "stop", "fil" is "file", "creat" stays."""
    if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "lsz":
        return base[:-1]
    if len(base) == 3 and base[0] not in "aeiou" and base[1] in "aeiouy" and base[2] not in "aeiouwxy":
        return base + "e"
    return base


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield the stretches in which a sentence may run on over a line's end."""
    start = position = 0
    before = ""
    lines = text.splitlines(keepends=True)
    folded = all(len(line) <= FOLDED for line in lines)
    for line in lines:
        if position > start and not _wraps(before, line, folded):
            yield start, position
            start = position
        position += len(line)
        before = line
    if position > start:
        yield start, position


def _wraps(before: str, line: str, folded: bool) -> bool:
    """Say whether `line` goes on with the sentence of the line before it.

    Only a text that was folded to a width breaks a line before a capital within a sentence.
    """
    head, tail = line.lstrip(), before.rstrip()
    if head[:1] == ">" == tail.lstrip()[:1]:
        head, tail = head.lstrip("> \t"), tail.lstrip("> \t")
    if not head or not tail or head[0] in "#|>" or tail[0] in "#|" or _LIST_ITEM.match(line):
        return False
    if FENCE.match(before) or FENCE.match(line):
        return False
    if tail[-1] == ":" and _LABELLED.match(tail):
        return _indent(line) > _indent(before)  # "* clean:" and under it what that does
    if tail[-1] in ".!?:…。" or any(shape.match(tail) and shape.match(head) for shape in _ROWS):
        return False
    return head[0].islower() or (folded and len(tail) >= 50)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _split(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    if _HEADING.match(text, start, end):  # "## 2.1. Running it" is one
        yield from _pieces(text, start, end)
        return
    marker = _LIST_ITEM.match(text, start, end)
    search = marker.end() if marker else start
    for match in ENDS.finditer(text, search, end):
        if not _ends(text, match, end):
            continue
        yield from _pieces(text, start, match.end())
        start = match.end()
    yield from _pieces(text, start, end)


def _ends(text: str, match: re.Match[str], end: int) -> bool:
    """Say whether the punctuation found ends a sentence, rather than an abbreviation."""
    if match.group()[0] in "。！？":
        return True
    after = text[match.end() : min(match.end() + 12, end)].lstrip()
    if not after:
        return True
    if after[0].islower() or after[0] in ",;:.)%":
        return False
    if match.group() != ".":
        return True
    word = text[max(0, match.start() - 12) : match.start()].rsplit(maxsplit=1)
    last = word[-1].lstrip("(['\"“‘") if word and not text[match.start() - 1].isspace() else ""
    if last.lower() in _ABBREVIATIONS:
        return False
    return not (len(last) == 1 and last.isupper() and last != "I")


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > LONGEST_SENTENCE:
        cut = text.rfind(" ", start + LONGEST_SENTENCE // 2, start + LONGEST_SENTENCE)
        cut = cut if cut > 0 else start + LONGEST_SENTENCE
        yield start, cut
        start = cut
    yield start, end
