"""Answers questions about two or more things from each of them: A or B, the most of something, which ones."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.extractive.reading import Reading, Sentence
from pipeline.extractive.wording import empty
from pipeline.text.polarity import negates
from pipeline.text.sentences import STOP_WORDS, stem, tokens

_EITHER = r"(?:the |a )?(?P<a>[^,]{2,40}?) or (?:the |a )?(?P<b>(?-i:[A-Z])[^,]{1,40}?)"
_COMPARING = (
    "more|less|fewer|better|worse|cheaper|dearer|heavier|lighter|larger|bigger|smaller|longer|shorter|faster"
    "|slower|older|newer|younger|taller|higher|lower|wider|deeper|stronger|quieter|louder"
)
_SIDES = (
    r"\bbetween (?P<a>.+?) and (?P<b>.+)",
    r"\bcompare (?P<a>.+?) (?:and|with|to|against) (?P<b>.+)",
    r"^(?:is|are|does|do|was|were|has|have) (?P<a>.+?) (?:\w+er|more|less|worse)\b.*? than (?P<b>.+)",
    r"\b(?:better|worse|best|prefer|choose|cheaper|faster|\w+er)\b[^,:]*[,:] *(?P<a>.+?) or (?P<b>.+)",
    r"^(?P<a>.+?) (?:vs\.?|versus|compared (?:to|with)) (?P<b>.+)",
    rf"^(?:is|are|does|do|did|was|were|has|have) {_EITHER} (?:\w+ ){{0,2}}?(?:{_COMPARING})$",
    rf"^(?:should (?:i|we|one) (?:\w+ ){{1,2}}?)?{_EITHER}$",
)
_SIDE_PATTERNS = [re.compile(pattern, re.IGNORECASE) for pattern in _SIDES]
_MOST = re.compile(
    r"\b(?:which|what|who)\b.*\b(?P<s>most|highest|largest|biggest|longest|heaviest|tallest|oldest|fastest|greatest"
    r"|warmest|hottest|newest|widest|deepest|least|fewest|lowest|smallest|cheapest|shortest|lightest|slowest"
    r"|dearest|coldest)\b",
    re.IGNORECASE,
)
_SMALL = frozenset("least fewest lowest smallest cheapest shortest lightest slowest coldest".split())  # noqa: SIM905
_DATED = frozenset(map(stem, ("built", "since", "born", "founded", "opened")))  # by a year: old has the least
_ALL = re.compile(r"^\W*which (?P<head>\w+s)\b(?! (?:do|should|can|must|did) (?:i|we|you)\b)", re.IGNORECASE)
_MEANT = {  # what a comparing word asks about
    "cheap": "cost costs price fee fees pay charge",
    "dear": "cost costs price fee fees pay charge",
    "expensiv": "cost costs price fee fees pay charge",
    "price": "cost costs fee fees",
    "heavi": "weigh weighs weight",
    "heav": "weigh weighs weight",
    "light": "weigh weighs weight",
    "larg": "size seats holds capacity area volume",
    "big": "size seats holds capacity area volume",
    "bigg": "size seats holds capacity area volume",
    "small": "size seats holds capacity area volume",
    "long": "long length takes lasts",
    "short": "long length takes lasts",
    "fast": "speed takes fast",
    "slow": "speed takes slow",
    "old": "old age since built born founded opened",
    "tall": "tall height high",
    "warm": "temperature heat",
    "hott": "temperature heat",
    "cold": "temperature",
    "new": "built since year",
    "wid": "wide width",
    "deep": "depth",
}
_LETTER = re.compile(r"\b[^\W\d_]{2,}:? ([A-HJ-Z])(?![\w'’.&+-])")
_HEADS = re.compile(r"(?:^|; )([^:;]+):")
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
_AMOUNT = re.compile(r"(?<![\w.,-])-?\d+(?:,\d{3})*(?:[.,]\d+)?(?![.,]?\w)")  # no address, version or name
_THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")
_DEFINES = re.compile(
    r"^(?P<subject>(?:[^\s.;:]+ ){1,4}?)"
    r"(?:is|are|was|were|means|mean|has|have|holds?|says?|costs?|takes?|answers?)\b"
)
ASKED_OF = 2  # words after the second thing that say what is asked of both
SUBJECT = 0.25  # what a sentence gains that is about the thing compared
SAME = 0.7  # share of a sentence's words that an earlier one has, for it to say nothing new
FIRST = 1  # how far from the top of a page about a thing a sentence says what it is
A_SIDE = 2  # sentences for each of two things
LISTED = 6
NEARLY = 0.6  # share of the best score of a side that another sentence of it must have


def gathered(question: str, reading: Reading) -> list[Sentence] | None:
    """Return the sentences for a question about several things, [] when one of two is missing.

    None means that the question is about one thing and is answered as usual.
    """
    two = sides_of(question)
    if two is not None:
        return _both(question, reading, two)
    most = _MOST.search(question)
    if most is not None or _ALL.match(question):
        return _every(question, reading, most["s"].lower() if most else None) or _table(reading, most)
    return None


def _table(reading: Reading, most: re.Match[str] | None) -> list[Sentence] | None:
    """Return all rows like the likeliest, when the most is asked for of what no column is known to tell."""
    best = max(reading.sentences, key=lambda s: s.probability, default=None)
    if most is None or best is None or not _row(best.text):
        return None
    heads = _HEADS.findall(best.text)
    rows = [s for s in reading.sentences if _row(s.text) and _HEADS.findall(s.text) == heads]
    return rows[:LISTED] if len(rows) > 1 else None


def each_told(question: str, reading: Reading) -> bool:
    """Tell whether what is asked about several things is told of each of them.

    That is of both when two are compared, and in a column of every row when the most is asked for.
    """
    most, two = _MOST.search(question), sides_of(question)
    if most is not None and two is None:
        rows = _every(question, reading, most["s"].lower()) or []
        return bool(rows) and all(_row(row.text) for row in rows)
    if two is None:
        return False
    aspects = aspects_of(question, two)
    sides = [_side(reading, near, other, aspects) for near, other in (two, two[::-1])]
    if not aspects:
        return all(any(_row(sentence.text) for sentence in side) for side in sides)
    return all(any(aspects & sentence.stems for sentence in side) for side in sides)


def aspects_of(question: str, two: tuple[frozenset[str], frozenset[str]]) -> set[str]:
    """Return the stems of what is asked about two things, without their names."""
    return _asked(question) - two[0] - two[1] - {"differ", "differenc", "better", "good", "compar", "wors"}


def sides_of(question: str) -> tuple[frozenset[str], frozenset[str]] | None:
    """Return the stems of two things that are compared; None when the question compares none."""
    for pattern in _SIDE_PATTERNS:
        match = pattern.search(question.strip(" ?!."))
        if match is not None:
            left, other = _content(match["a"].rpartition(" of ")[2]), _thing(match["b"], match["a"])
            left, other = left | _letters(match["a"]), other | _letters(match["b"])
            left, other = left - other, other - left
            if left and other:
                return frozenset(left), frozenset(other)
    return None


def named_in(text: str) -> set[str]:
    """Return the content stems of a text, and the letters that name things: "Plan A"."""
    return _content(text) | _letters(text)


def _letters(text: str) -> set[str]:
    return {letter.lower() for letter in _LETTER.findall(text)}


def _thing(text: str, beside: str) -> set[str]:
    """Return the stems of the second thing, without what is asked of both: "Heron vs Osprey battery"."""
    words = [token for token in tokens(text) if token not in STOP_WORDS]
    count = len([token for token in tokens(beside.rpartition(" of ")[2]) if token not in STOP_WORDS])
    return {stem(word) for word in (words[:count] if count < len(words) <= count + ASKED_OF else words)}


def _content(text: str) -> set[str]:
    return {stem(token) for token in tokens(text) if token not in STOP_WORDS}


def _asked(question: str) -> set[str]:
    """Return the stems a question asks about, those that a comparing word stands for included."""
    words = _content(question)
    for token in tokens(question):
        base = stem(re.sub(r"(?:i?er|i?est)$", "", token)) if token.endswith(("er", "est")) else stem(token)
        words |= {stem(word) for key in (base, token) for word in _MEANT.get(key, "").split()}
    return words


def _both(
    question: str, reading: Reading, two: tuple[frozenset[str], frozenset[str]]
) -> list[Sentence] | None:
    aspects = aspects_of(question, two)
    sides = [_side(reading, near, other, aspects) for near, other in (two, two[::-1])]
    if all(sides):
        return _new([sentence for side in sides for sentence in side], two[0] | two[1])
    return [] if any(sides) else None


def _new(sentences: Sequence[Sentence], things: frozenset[str]) -> list[Sentence]:
    """Leave out those of which an earlier one says nearly all, of the same things with the same figures."""
    distinct: list[Sentence] = []
    for sentence in sentences:
        same = [other for other in distinct if things & sentence.stems == things & other.stems]
        if not any(_said_by(sentence, other) for other in same):
            distinct.append(sentence)
    return distinct


def _said_by(sentence: Sentence, other: Sentence) -> bool:
    figures = set(_FIGURE.findall(sentence.text)) <= set(_FIGURE.findall(other.text))
    return figures and len(sentence.stems & other.stems) > SAME * len(sentence.stems)


def _side(reading: Reading, side: frozenset[str], other: frozenset[str], aspects: set[str]) -> list[Sentence]:
    scored: list[tuple[float, Sentence]] = []
    for sentence in reading.sentences:
        title = _content(reading.passages[sentence.passage].passage.title)
        stems = sentence.stems | _letters(sentence.text)
        if not side <= stems | title or not sentence.text.strip(" #|*"):
            continue
        own = side <= stems
        if other <= stems | title and not own:
            continue
        shared = len(aspects & sentence.stems) / max(len(aspects), 1)
        about = side <= title and sentence.position <= FIRST and 2 * len(side) >= len(title)
        subject = side <= _subject(sentence.text)
        score = shared + 0.5 * sentence.probability + 0.25 * own + 0.5 * (about or subject)
        scored.append((score + SUBJECT * subject, sentence))
    pairs = [pair for pair in scored if not _bare(pair[1])]
    scored = [pair for pair in pairs if aspects & pair[1].stems] or pairs
    scored.sort(key=lambda pair: -pair[0])
    best = scored[0][0] if scored else 0.0
    room = A_SIDE if aspects else 1
    return [sentence for score, sentence in scored[:room] if score >= NEARLY * best]


def _subject(text: str) -> set[str]:
    """Return the stems of what a sentence is about: its words before the verb that defines it."""
    match = _DEFINES.match(text)
    return _content(match["subject"]) if match else set()


def _every(question: str, reading: Reading, superlative: str | None) -> list[Sentence] | None:
    """Return a sentence of each thing that has what is asked for; the most of it first."""
    things = _named(question)
    aspects = _asked(question) - things
    if not aspects:
        return None
    best: dict[object, Sentence] = {}
    for sentence in sorted(reading.sentences, key=lambda s: -len(aspects & s.stems)):
        if _bare(sentence) or not aspects & sentence.stems or negates(sentence.text):
            continue
        if superlative is not None and not _AMOUNT.search(sentence.text):
            continue
        subject = frozenset(_subject(sentence.text))
        document = reading.passages[sentence.passage].passage.document_id
        one_of_them = subject if subject & things else None  # a page may tell of several, one after the other
        best.setdefault(sentence.text if _row(sentence.text) else (document, one_of_them), sentence)
    chosen = list(best.values())[:LISTED]
    rows = [sentence for sentence in chosen if _row(sentence.text)]
    chosen = rows if superlative is not None and 2 * len(rows) > len(chosen) else chosen
    if len(chosen) < 2:
        return None
    if superlative is not None:
        years = superlative == "oldest" and any(not _DATED.isdisjoint(s.stems) for s in chosen)
        chosen.sort(key=lambda s: _figure(s, aspects), reverse=not years and superlative not in _SMALL)
    return chosen


def tells(sentence: Sentence, question: str) -> bool:
    """Tell whether a sentence has every word that is asked of each of several things."""
    if _MOST.search(question) and _row(sentence.text):
        return True
    plain = _content(question) - _named(question)
    meant = _asked(question) - _content(question)
    if not plain and not meant:
        return False
    return plain <= sentence.stems and (not meant or not meant.isdisjoint(sentence.stems))


def _named(question: str) -> set[str]:
    """Return the stems that say which things are asked about ("which plans"), and how much of it is most."""
    head, most, words = _ALL.match(question), _MOST.search(question), tokens(question)
    thing = head["head"].lower() if head else words[min(1, len(words) - 1)]
    return {stem(thing), stem(most["s"].lower())} if most else {stem(thing)}


def _figure(sentence: Sentence, aspects: set[str]) -> float:
    """Return the number nearest to a word asked about; the first where the words stand in no place.

    In a row it stands after its head: "Gears: 21; Weight: 12 kg" weighs 12.
    """
    chunks = re.finditer(r"\S+", sentence.text)
    places = [m.start() for m in chunks if not aspects.isdisjoint(map(stem, tokens(m.group())))] or [0]
    figures = [(m.start(), _amount(m.group())) for m in _AMOUNT.finditer(sentence.text)]
    if _row(sentence.text):
        figures = [pair for pair in figures if pair[0] > min(places)] or figures
        places = [min(places)]
    return min(figures, key=lambda pair: min(abs(pair[0] - place) for place in places))[1]


def _row(text: str) -> bool:
    return ": " in text and "; " in text


def _amount(text: str) -> float:
    """Return the number that is written, "1,200" or "2,5" or "2.5"."""
    return float(_THOUSANDS.sub("", text).replace(",", "."))


def _bare(sentence: Sentence) -> bool:
    """Tell whether a sentence says nothing by itself: a heading, a question, a pointer, a line of code."""
    return len(sentence.stems) < 2 or empty(sentence.text) or "#" in sentence.text
