"""Sees what word overlap cannot: opposites ("on" and "off"), negation, and numbers that differ."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from pipeline.text.sentences import STOP_WORDS, stem, tokens

_ACTS = """on/off on/disable on/deactivate off/enable off/activate enable/disable activate/deactivate
    lock/unlock mute/unmute connect/disconnect show/hide add/remove add/delete create/delete
    insert/remove install/uninstall increase/decrease increase/reduce raise/lower maximize/minimize
    allow/block allow/forbid allow/deny allow/prevent permit/forbid accept/reject approve/reject
    import/export upload/download encrypt/decrypt mount/unmount subscribe/unsubscribe load/unload
    pair/unpair pin/unpin attach/detach freeze/thaw plug/unplug wrap/unwrap push/pull enter/exit
    expand/collapse zip/unzip archive/unarchive register/unregister save/discard keep/discard
    heat/cool start/stop"""
_SAME = (
    "remove delete erase discard drop clear",
    "undo revert rollback restore reverse",
    "disable deactivate off false",
    "enable activate true",
    "show list view display",
    "change edit modify adjust",
    "create make begin",
)
_QUALITIES = """before/after above/below minimum/maximum min/max first/last cheaper/dearer cheap/expensive
    cheapest/dearest more/less more/fewer most/least inside/outside ascending/descending
    public/private internal/external required/optional mandatory/optional manual/automatic
    manually/automatically up/down fast/slow faster/slower early/late earlier/later arrive/depart
    arrival/departure entry/exit win/lose hot/cold full/empty long/short longer/shorter large/small
    larger/smaller big/small high/low higher/lower wet/dry safe/unsafe safe/dangerous legal/illegal
    valid/invalid possible/impossible visible/invisible known/unknown able/unable true/false
    success/failure pass/fail passed/failed north/south east/west left/right top/bottom front/back
    front/rear summer/winter day/night weekday/weekend gain/loss open/close begin/end
    accept/refuse always/never include/exclude online/offline send/receive join/leave check/uncheck
    select/deselect buy/sell lend/borrow upper/lower northern/southern eastern/western older/newer
    fine/coarse thick/thin thicker/thinner thinly/thickly wide/narrow deep/shallow strong/weak clean/dirty
    soft/hard moist/dry indoors/outdoors indoor/outdoor permanent/temporary positive/negative
    allowed/forbidden allowed/prohibited allowed/banned free/paid slowly/quickly slowly/fast rarely/often
    seldom/often nobody/everybody nobody/somebody nothing/everything none/all horizontal/vertical
    forward/backward forwards/backwards clockwise/anticlockwise clockwise/counterclockwise
    common/rare alive/dead inbound/outbound incoming/outgoing domestic/foreign ancient/modern
    increase/fall rise/fall succeed/fail drop/add moving/staying kept/discarded"""
_SWITCH = re.compile(
    r"\b(?:turn|switch|power|toggle|set|put|is|are|be|was|keep|stay|leave)(?:e?s|e?d|n?ing|t?ing)?\b"
    r"(?:[^\w.!?;:\n]+[\w'’-]+){0,7}?[^\w.!?;:\n]+(?P<state>on|off)\b(?:\W+(?:or|and|to|then)\W+(?P<other>on"
    r"|off)\b)?"
    r"|\b(?:to|is|are|them|it) (?P<there>on|off)\b",
    re.IGNORECASE,
)
_UNLESS = re.compile(r"\bunless\b", re.IGNORECASE)
_NEGATION = re.compile(
    r"\b(?:not(?! only)|n[o']t(?! only)|no(?! longer than| more than| later than)|never|without|cannot"
    r"|can't|neither|nor|none|nobody|nothing"
    r"|unable to|instead of|rather than|except|\w+n['’]t)\b",
    re.IGNORECASE,
)
_AVOIDING = re.compile(
    r"\bhow (?:do|can|could|should|would) (?:i|we|you|one) (?:not|never)\b"
    r"|\bhow (?:not to|to not)\b",
    re.IGNORECASE,
)
_AWAY = re.compile(
    r"\b(?:off|disabl\w+|deactivat\w+|prevent\w*|avoid\w*|stop\w*|blank|clear|unlock\w*|remov\w+|uncheck\w*"
    r"|deselect\w*|ignor\w+|block\w*|hid\w+|mut\w+|den(?:y|ies|ied)|forbid\w*|end\w*|cancel\w*|skip\w*"
    r"|unsubscrib\w*)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"[.;:!?\n]|,(?! (?:and|or)\b)|\b(?:but|because|unless|until|when|if|so that|while)\b", re.IGNORECASE
)
_COUNTED = """zero=0 three=3 four=4 five=5 six=6 seven=7 eight=8 nine=9 ten=10 eleven=11 twelve=12 dozen=12
    thirteen=13 fourteen=14 fifteen=15 sixteen=16 seventeen=17 eighteen=18 nineteen=19 twenty=20 thirty=30
    forty=40 fifty=50 sixty=60 ninety=90"""
_NUMBER_WORDS = {word: digits for word, _, digits in (pair.partition("=") for pair in _COUNTED.split())}
_UNIT = frozenset(
    """ms s sec second seconds minute minutes min hour hours h day days week weeks month months year years mm
    cm m km inch inches ft mg g kg lb lbs ton tons ml l litre litres liter liters gb mb kb tb hz khz mhz ghz
    v volt volts w watt watts kw kwh a amp amps bar psi pa kpa nm c f percent % euro euros dollar dollars usd
    eur pound pounds people persons seats""".split()  # noqa: SIM905
)
_SAME_UNITS = """kg=kilogram kg=kilograms kg=kilo kg=kilos g=gram g=grams h=hour h=hours min=minute
    min=minutes
    s=sec s=second s=seconds ms=millisecond ms=milliseconds day=days week=weeks month=months year=years
    inch=inches lb=lbs lb=pounds lb=pound ton=tons l=litre l=litres l=liter l=liters mb=megabyte mb=megabytes
    gb=gigabyte gb=gigabytes tb=terabyte tb=terabytes v=volt v=volts w=watt w=watts a=amp a=amps eur=euro
    eur=euros usd=dollar usd=dollars person=persons person=people"""
_ONE_UNIT = {other: unit for unit, _, other in (pair.partition("=") for pair in _SAME_UNITS.split())}
_SMALL = {"one": "1", "two": "2", "first": "1", "second": "2", "twice": "2", "third": "3", "fourth": "4"}
_AFFIXES = ("un", "dis")
_DENYING = ("un", "dis", "in", "im", "ir", "il", "non", "de", "mis")
AFFIXED = 3  # letters that a word must have more than to be denied by a prefix
_LITTLE_PAIRS = """in/out into/from to/from over/under up/down above/below before/after until/from
    with/without more/less greater/smaller great/small larger/smaller least/most every/no all/no any/no
    same/different outside/inside since/until only/also must/may must/need can/cannot and/or either/both
    leave/enter leave/stay leave/remain arrive/leave come/leave rise/fall rises/falls keep/throw give/take
    raise/lower half/whole reduced/full single/double first/last next/previous early/late"""
_LITTLE = frozenset(
    ordered
    for pair in _LITTLE_PAIRS.split()
    for term, other in [tuple(map(stem, pair.split("/")))]
    for ordered in ((term, other), (other, term))
)
_NEGATED_WORDS = 3  # content words after a negation that it denies


@lru_cache(maxsize=2)
def _opposites(acts: bool) -> dict[str, frozenset[str]]:
    """Return for each stem the stems that mean the contrary."""
    table: dict[str, set[str]] = {}
    for pair in (_ACTS if acts else f"{_ACTS} {_QUALITIES}").split():
        term, other = (stem(word) for word in pair.split("/"))
        table.setdefault(term, set()).add(other)
        table.setdefault(other, set()).add(term)
    return {word: frozenset(others) for word, others in table.items()}


def opposites(text: str, other: str, *, acts: bool = False) -> list[tuple[str, str]]:
    """Return the pairs in which one text has a word and the other has only its contrary.

    A text that names both sides ("switch it on or off") contradicts neither.
    With `acts`, only what one does counts, not what a thing is like.
    """
    terms, two = _states(text), _states(other)
    table = _opposites(acts)
    pairs: list[tuple[str, str]] = []
    for word in sorted(terms - two):
        contrary = table.get(word, frozenset()) | _affixed(word, two)
        against = contrary & two - terms
        if against and not contrary & terms:
            pairs.append((word, min(against)))
    return pairs


def contrary(word: str, other: str) -> bool:
    """Tell whether two stems mean the contrary, little words such as "before" and "in" among them."""
    if other in _opposites(acts=False).get(word, frozenset()) or (word, other) in _LITTLE:
        return True
    longer, shorter = (word, other) if len(word) > len(other) else (other, word)
    return len(shorter) > AFFIXED and any(affix + shorter == longer for affix in _DENYING)


@lru_cache(maxsize=4096)
def _states(text: str) -> frozenset[str]:
    """Return the stems of a text; "on" and "off" only where they tell a state."""
    words = set(_stems(text) - {"on", "off"})
    for match in _SWITCH.finditer(text):
        words.update(state.lower() for state in match.groups() if state)
    if words & {"on", "off"} and _UNLESS.search(text):  # "off unless it is true" tells of both
        words |= {"on", "off"}
    return frozenset(words)


def affirms(text: str, other: str) -> bool:
    """Tell whether the other text names an act that the first one does, by the same word or its like."""
    table = _opposites(acts=True)
    acts = {word for word in _states(text) if word in table}
    alike = {word for word, against in table.items() if any(against & table[act] for act in acts)}
    return bool((acts | alike) & _states(other))


def alike(word: str) -> frozenset[str]:
    """Return the stems that name the same act as a stem does, itself not among them; mostly none."""
    return _alike().get(word, frozenset())


@cache
def _alike() -> dict[str, frozenset[str]]:
    groups = [frozenset(map(stem, group.split())) for group in _SAME]
    return {word: group - {word} for group in groups for word in group}


def _affixed(word: str, others: frozenset[str]) -> frozenset[str]:
    """Return the words that are the same but for a denying prefix: "mount" and "unmount"."""
    if len(word) < 4:
        return frozenset()
    longer = {affix + word for affix in _AFFIXES}
    shorter = {
        word.removeprefix(affix)
        for affix in _AFFIXES
        if word.startswith(affix) and len(word) > len(affix) + 3
    }
    return frozenset((longer | shorter) & others)


@lru_cache(maxsize=4096)
def denied(text: str) -> frozenset[str]:
    """Return the stems that a negation of the text denies: the next few content words of its clause."""
    words: set[str] = set()
    for match in _NEGATION.finditer(text):
        end = _CLAUSE.search(text, match.end())
        after = text[match.end() : end.start() if end else len(text)]
        content = [stem(token) for token in tokens(after) if token not in STOP_WORDS]
        words.update(content[:_NEGATED_WORDS])
    return frozenset(words)


@lru_cache(maxsize=4096)
def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(token) for token in tokens(text))


def negates(text: str) -> bool:
    """Tell whether the text denies something."""
    return _NEGATION.search(text) is not None


@lru_cache(maxsize=4096)
def negations(text: str) -> int:
    """Return how often the text denies something."""
    return len(_NEGATION.findall(text))


def contradicted(text: str, other: str) -> frozenset[str]:
    """Return the stems that one text denies and the other says plainly."""
    mine, theirs = denied(text), denied(other)
    if not mine and not theirs:
        return frozenset()
    return ((mine & _stems(other)) - theirs) | ((theirs & _stems(text)) - mine)


@lru_cache(maxsize=4096)
def numbers(text: str) -> tuple[tuple[str, str], ...]:
    """Return the numbers of a text in one spelling, each with the unit after it or "".

    "1,000" is "1000", "30.00" is "30", "three" is "3"; small counting words that are mostly
    pronouns ("one", "two") are left out.
    """
    words = tokens(text.replace("%", " percent"))
    pairs: list[tuple[str, str]] = []
    for place, word in enumerate(words):
        value = word if word[0].isdigit() else _NUMBER_WORDS.get(word, "")
        if not value:
            continue
        after = words[place + 1] if place + 1 < len(words) else ""
        pairs.append((plain_number(value), after if after in _UNIT else ""))
    return tuple(pairs)


def avoids(question: str) -> bool:
    """Tell whether a question asks how not to do something."""
    return _AVOIDING.search(question) is not None


def turns_away(text: str) -> bool:
    """Tell whether a text speaks of switching off, preventing or not doing something."""
    return negates(text) or _AWAY.search(text) is not None


@lru_cache(maxsize=4096)
def digits(text: str) -> frozenset[str]:
    """Return all words of a text that begin with a digit, each in one spelling."""
    return frozenset(plain_number(token) for token in tokens(text) if token[0].isdigit())


@lru_cache(maxsize=4096)
def counted(text: str) -> frozenset[str]:
    """Return all numbers of a text, the small ones in words included that are mostly pronouns."""
    small = {_SMALL[token] for token in tokens(text) if token in _SMALL}
    return frozenset(small.union(digits(text), (value for value, _ in numbers(text))))


def figure(word: str) -> str:
    """Return a counting word in digits, "3" for "three" and "1" for "one"; other words as they are."""
    return _NUMBER_WORDS.get(word) or _SMALL.get(word, word)


def one_unit(unit: str) -> str:
    """Return one spelling of a unit: "kg" for "kilograms"."""
    return _ONE_UNIT.get(unit, unit)


def plain_number(value: str) -> str:
    """Return one spelling of a number: without zeros at its end after the point, without "th"."""
    value = re.sub(r"(?<=\d)(?:st|nd|rd|th)$", "", value)
    return value.rstrip("0").rstrip(".") if re.fullmatch(r"\d+\.\d*", value) else value
