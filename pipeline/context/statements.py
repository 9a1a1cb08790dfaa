"""What people say of themselves, found in questions by rules: what may be kept, and what is none of it.

Only plain statements in the first person count. A supposition, a quotation, somebody else's words, a
mood or a fault of the moment ("my screen is black") does not, and secrets are never kept.
"""

from __future__ import annotations

import re

from pipeline.text.sentences import STOP_WORDS, sentences, stem, tokens, words
from traces.redact import redact

LONGEST = 200  # characters of a statement; more is a story
PER_TURN = 5

_OPENING = re.compile(
    r"(?:(?:hi|hello|hey|there|please|also|and|but|so|well|ok|okay|no|nope|yes|sorry|wait|actually|correction|btw|fyi"
    r"|by the way|for context|for the record|just so you know|just to let you know|you should know(?: that)?"
    r"|from now on|in general|in future)(?:\b[ ,:;.!—-]*))*",
    re.IGNORECASE,
)
_ORDER = re.compile(r"(?:remember|note|keep in mind)(?: that\b|:)?\s+(?=\w)", re.IGNORECASE)
_STATING = re.compile(r"(?:remember(?: that\b|:)|.*\b(?:i|i'm|my|we|we're|our)\b)", re.IGNORECASE)
_FRAMED = re.compile(
    r"\W*(?:suppose|supposing|assume|assuming|imagine|pretend|let's say|let us say|say|what if|if|as if|act"
    r"|unless|in case|when|while|once|until|after|were|had|as soon as|in theory"
    r"|translate|correct|rewrite|rephrase|proofread|write|draft|spell|summari[sz]e|repeat)\b",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:if|unless|would|might|maybe|perhaps|probably|possibly|could be|not sure|unsure|i think|i guess"
    r"|i suppose|i believe|i wish|i hope|i wonder|i (?:don't|do not) know|i doubt|for example|e\.g)\b",
    re.IGNORECASE,
)
_REPORTED = re.compile(
    r"\b(?:says?|said|told|tells|reads?|writes?|wrote|asks?|asked|claims?|shows?|displays?|prints?|replied)\b"
    r"[^.]*?(?:[:,]| that\b|\b(?:me|us)\b)",
    re.IGNORECASE,
)
_PASSING = re.compile(
    r"\b(?:today|tonight|tomorrow|right now|just now|at the moment|at present|for now|currently (?:out|away)"
    r"|this (?:week|morning|afternoon|evening|minute)|again)\b",
    re.IGNORECASE,
)
_TROUBLE = re.compile(
    r"\b(?:fail\w*|errors?|jam\w*|crash\w*|nothing|broke\w*|stuck|frozen|wrong|problems?|issues?|trouble\w*"
    r"|(?:does|do|did|is|are|can)(?:n't| not) (?:work|start|print|open|load|find|see|get|show)\w*|won't"
    r"|cannot|can't|unable|missing|warnings?|hangs?|refus\w+|blank|but|see (?:an?|no)|bug)\b",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"\W*(?:what|who|whom|whose|where|when|why|which|how|do|does|did|is|are|am|can|could|should|would|will"
    r"|tell me|show me|explain (?!things|everything))\b",
    re.IGNORECASE,
)
_ASKED = re.compile(r",\s*(?:so\s+|and\s+)?(?:what|who|where|when|why|which|how)\b", re.IGNORECASE)
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|„[^“”]*[“”]|«[^»]*»|`[^`]*`|(?<!\w)'[^']*'(?!\w)|‘[^’]*’(?!\w)")
_SECRET = re.compile(
    r"pass ?word|passwort|pass ?phrase|pass ?code|\bpwd\b|\bpin\b|secret|token|api.?key|private key"
    r"|credential|\b(?:access|door|entry|gate|alarm|security|recovery|login|one.time|verification) ?codes?\b"
    r"|\bcode is\b|\bmy code\b|\bcode ?word|\bcv[vc]2?\b|\botp\b|\b2fa\b|credit card|\biban\b|\bssn\b"
    r"|social security|passport|\b(?:account|card|tax|insurance) (?:number|id)\b"
    r"|\bmy (?:wi-?fi )?(?:key|login"
    r"|pass|combination|social)\b|\b(?:recovery|seed) phrase|safe combination|licen[cs]e key|bank account"
    r"|\d(?:[ -]?\d){8}",
    re.IGNORECASE,
)

_PLACES = "region|area|district|zone|office|depot|branch|site|warehouse|building|floor|country|city|town"
_GROUPS = f"team|department|division|unit|crew|shift|staff|{_PLACES}"
_SELF = (
    "name|role|job title|job|title|profession|pronouns|birthday|timezone|time zone|company|employer|boss"
    "|manager"
)
_THINGS = (
    "laptop|computer|pc|phone|tablet|printer|router|monitor|keyboard|browser|distro|distribution|machine|device"
    "|model|os|operating system|version|language|plan|subscription|project|screen reader|server|account type"
)
_MINE = re.compile(
    r"(?:my|our) (?:current |new |own |work |home |main |preferred )?"
    rf"({_SELF}|{_GROUPS}|{_THINGS}|favou?rite \w+)"
    r"(?:'s| is| are| runs| has| starts| ends| opens| closes)(?: now| actually| called)*\s+(?=\w)",
    re.IGNORECASE,
)
_STATE = frozenset(
    """not no out off on in at about above away back missing wrong late early broken slow dead gone stuck
    frozen offline online down angry busy ill sick full empty hot cold loud noisy private secret unknown lost
    stolen dirty black blank red fine ok okay good bad great right ready here there what which who where why
    how to never too very so also still always gone already open closed done of cut shown
    almost unclear sticky under over up similar different same set""".split()  # noqa: SIM905
)
_WORST = re.compile(r"the (?:worst|best|reason|problem|one|(?!west\b)\w+est)\W*$", re.IGNORECASE)
_HOW_IT_IS = re.compile(r"\b(?:than|with|to|for|from|by|as|what|which|who)\b", re.IGNORECASE)
_ENDINGS = ("ing", "ed", "able", "ible", "less", "ful", "lled", "elt")
_NAME = re.compile(
    r"(?:you (?:can|may|should) |everyone |everybody |people )?calls? me\s+(?=\w)"
    r"|(?:i am|i'm) called\s+(?=\w)|i go by\s+(?=\w)",
    re.IGNORECASE,
)
_NO_NAME = frozenset(
    """back when if at on in a an the later tomorrow today tonight now again before after as once under by for
    to with this that whatever anytime asap next soon about instead please crazy stupid old and or names cab
    taxi maybe""".split()  # noqa: SIM905
)
_INTRODUCED = re.compile(r"(?:I am|I'm) [A-Z][a-z]+(?: (?:from|of|in|at) [\w ]+| here)?\W*")
_ROLE = re.compile(r"(?:i|we)(?:'m| am|'re| are) (?:an?|the|one of the)\s+(?=\w)", re.IGNORECASE)
_NO_ROLE = frozenset(
    """bit little lot few while loss fan idiot fool moron mess one ones same only first last next human person
    kind sort type point middle moment hour step loser customer root""".split()  # noqa: SIM905
)
_FIELDS = "sales|billing|support|marketing|finance|hr|logistics|accounting|engineering|operations|legal"
_BELONGING = re.compile(
    r"(?:i|we)(?:'m| am|'re| are) (?:now |still )?(?:(?:based|located|stationed) (?:in|at)|responsible for"
    rf"|part of|in charge of|(?:in|on|at|from|with) (?=(?:[\w-]+ ){{0,3}}(?:{_GROUPS}|plan)\b"
    rf"|(?:the )?(?:north|south|east|west|cent(?:er|re))\b|(?:{_FIELDS}|purchasing|production)\b))"
    r"\s*(?=\w)|(?:i|we) belong to\s+(?=\w)",
    re.IGNORECASE,
)
_TRAIT = re.compile(
    r"i(?:'m| am) (?:(?:partly|totally|completely) )?(?:left-handed|right-handed|colou?r[ -]?blind|blind"
    r"|deaf|dyslexic|vegetarian|vegan|retired|self-employed|allergic to \w+)\b",
    re.IGNORECASE,
)
_ADVERB = r"(?:(?:always|usually|mostly|normally|generally|mainly|only|now|also|still|just|currently) )?"
_HABIT = re.compile(
    rf"(?:i|we) {_ADVERB}(?:(?:don't|do not|never|no longer|have) )?"
    r"(use|run|own|manage|prefer|like|speak|study|live in|come from"
    r"|work(?: (?:at|in|on|with|for|as|from))?|have|moved to|changed to|switched to)\s+(?=\w)"
    rf"|(?:i|we)(?:'m| am|'re| are) {_ADVERB}(using|running)\s+(?=\w)",
    re.IGNORECASE,
)
_ALWAYS = re.compile(
    r"(?:i|we) (?:usually|mostly|normally|generally|typically|mainly) "
    r"(?!get|see|forget|have|need|find|want|ask|use\b)(\w+)\s+(?=\w)",
    re.IGNORECASE,
)
_NO_OBJECT = frozenset(
    """it this that these those them one to not into out problem question issue hunch meeting doubt idea
    feeling look time call ticket message deadline light moment day thing hurry point chance need reason
    request case access other of too minute hour second day ticket error late up your how what when where
    why which""".split()  # noqa: SIM905
)
_COUNTING = frozenset({"two", "three", "four", "five", "six"})
_MANNER = (
    "short|brief|long|longer|detailed|simple|plain|easy|full|complete|few|clear|concise|precise|formal|informal"
    "|bullet|bullets|lists?|examples?|steps?|tables?"
)
_TONGUES = "english|german|french|spanish|portuguese|chinese|italian|dutch|polish|[a-z]+ese"
_ANSWERS = re.compile(
    rf"(?:always |only )?(?:answer|reply|respond)(?: to)?(?: me| us)? (?:only )?(?:in|with|as) (?:{_MANNER}"
    rf"|{_TONGUES})\b"
    rf"|(?:always )?(?:write|speak|talk)(?: to (?:me|us))?(?: in)? (?:{_TONGUES})\b"
    rf"|(?:always )?keep (?:your |the |all )+(?:answers?|replies) (?:{_MANNER}|under|below|to)\b"
    rf"|(?:(?:i'd|i would|i|we) (?:like|want|prefer|need)|give me) (?:(?:your|the|my|only) )?"
    rf"(?:(?:{_MANNER}) )+"
    r"(?:answers|replies)\b|(?:i'd|i would) (?:like|prefer) (?:your |the )?(?:answers|replies)"
    r" (?:as|in|with)\b"
    rf"|(?:only |always )?(?:(?:{_MANNER}) )+(?:answers|replies)(?: only)?(?:,? please)?\W*$"
    r"|(?:always |never |don't |do not |avoid )?(?:use |using )?(?:no )?(?:jargon|abbreviations|emojis?|slang"
    r"|(?:metric|imperial) units|bullet points)(?:,? please)?\W*$"
    r"|(?:always )?explain (?:things|everything) (?:step by step|simply|briefly|in detail)\b",
    re.IGNORECASE,
)
_TONGUE = re.compile(rf"\b(?:{_TONGUES})\b", re.IGNORECASE)
_CLAUSE = re.compile(r"(?:,(?: and| so| but)?|;| and| so| because) (?=(?:i|i'm|my|we|our)\b)", re.IGNORECASE)
_HOURS = re.compile(
    r"(?:part|full)[ -]?time|nights|days|weekends|evenings|mornings|remotely|alone|the \w+ shift",
    re.IGNORECASE,
)
_SHIFT = re.compile(r"work (?:nights|days|weekends|evenings|mornings)\b", re.IGNORECASE)
_GROUP = re.compile(rf"\b({_GROUPS})s?\b", re.IGNORECASE)
_DIRECTION = re.compile(r"\b(?:north|south|east|west)(?:ern)?\b", re.IGNORECASE)
_CORRECTION = re.compile(
    r"(?:it|that|this)(?:'s| is) (?:now |actually |rather )?(?P<value>.{1,80}?)"
    r"(?: now| actually| instead)?\W*|i (?:mean|meant) (?P<meant>.{1,80}?)\W*",
    re.IGNORECASE,
)
_CORRECTING = re.compile(
    r"\W*(?:no|nope|sorry|wait|actually|correction|oops)\b|\b(?:now|instead)\W*$|\W*i meant?\b", re.IGNORECASE
)
_PERSONAL = re.compile(
    r"\b(?:i|i'm|my|me|we|we're|our|us|remember|note|keep in mind|forget|answers?|reply|replies|respond)\b"
    r"|^\W*(?:please )?(?:always |never |don't |do not )?(?:use|avoid|explain)\b"
    r"|\b(?:now|instead)\W*$|^\W*(?:no|sorry|actually|correction)\b",
    re.IGNORECASE,
)


def personal(question: str) -> bool:
    """Say whether a question speaks of its author at all, which is cheap to tell."""
    return _PERSONAL.search(question.replace("’", "'")) is not None


def stated(question: str) -> list[tuple[str, str]]:
    """Return the facts a question states, as (slot, text)."""
    statements: dict[str, str] = {}
    secretive = _SECRET.search(question) is not None
    for start, end in sentences(question):
        text = question[start:end].strip()
        if _FRAMED.match(text) and re.match(
            r"\W*(?:translate|correct|rewrite|rephrase|proofread)\b", text, re.I
        ):
            break  # what follows is the text to work on
        slot = _lasting(text, secretive)
        if slot is not None:
            statements[slot] = text
    return list(statements.items())[:PER_TURN]


def correcting(question: str) -> bool:
    """Say whether a question may put something right that was stated before, which is cheap to tell."""
    return len(question) <= LONGEST and _CORRECTING.search(question) is not None


def corrected(question: str, slot: str, text: str) -> str | None:
    """Return the statement that a question puts in place of one just made; None when it corrects nothing.

    "no, it is the south now" after "my region is the north" is "my region is the south".
    """
    question = question.strip().replace("’", "'")
    begin = _begin(question)
    match = _CORRECTION.fullmatch(question, begin)
    if match is None or not correcting(question) or _refused(question):
        return None
    value = (match["value"] or match["meant"]).strip()
    first = value.casefold().split()[0]
    if first in _STATE or _TROUBLE.search(value) or _SECRET.search(value):
        return None
    verb = re.search(r"(?:\b(?:is|are)\b|['’]s\b|\bcall me\b)", text, re.IGNORECASE)
    if slot.startswith("my ") and verb is not None:
        return f"{text[: verb.end()]} {value}"
    return f"{text.rstrip(' .!')}; no, it is {value}"


def _lasting(text: str, secretive: bool) -> str | None:
    """Return the slot of a sentence that states a lasting fact, or None."""
    if text.endswith("?") or len(text) > LONGEST:
        return None
    bare = _QUOTED.sub(" quoted ", text).replace("’", "'")
    order = _ORDER.match(bare, _begin(bare))
    inner = bare[order.end() :] if order else bare[_begin(bare) :]
    if _refused(text) or _FRAMED.match(inner) or redact(text) != text:
        return None
    slot = _slot(inner) or _later(inner)
    if slot is not None or order is None or secretive or _TROUBLE.search(inner) or _ASKING.match(inner):
        return slot
    if not _STATING.match(order.group() + inner) or any(map(_coded, tokens(inner))):
        return None
    return "noted " + " ".join(sorted(set(words(inner))))[:LONGEST]


def _refused(text: str) -> bool:
    """Say whether a sentence is no plain statement: asked, supposed, reported, of the moment, or secret."""
    bare = _QUOTED.sub(" quoted ", text).replace("’", "'")
    bare = re.sub(r"^(\W*(?:please )?)(?:i'd|i would) (?=like|prefer)", r"\1", bare, flags=re.IGNORECASE)
    asking = bare.endswith("?") or _ASKING.match(bare, _begin(bare)) or _ASKED.search(bare)
    aside = _UNSURE.search(bare) or _REPORTED.search(bare) or _PASSING.search(bare) or _FRAMED.match(bare)
    return bool(asking or aside or _SECRET.search(text))


def _slot(text: str) -> str | None:
    """Return what a statement is about, or None when it is no lasting one."""
    if _ANSWERS.match(text):
        return "answers language" if _TONGUE.search(text) else "answers form"
    if match := _MINE.match(text):
        return _owned(match[1].lower(), text[match.end() :])
    if match := _NAME.match(text):
        return "my name" if _names(text[match.end() :]) else None
    if _INTRODUCED.fullmatch(text):
        return "my name"
    if match := _ROLE.match(text):
        role = text[match.end() :].casefold().split()
        stays = role[1:2] != ["who"] and not _TROUBLE.search(text)
        return "i am" if role[0].strip(".,;!") not in _NO_ROLE and stays else None
    if _TRAIT.match(text):
        return f"i am {_head(text)}"
    if (match := _BELONGING.match(text)) and not _TROUBLE.search(text):
        return _grouped(text) or f"i am in {_head(text[match.end() :])}"
    return _habit(text)


def _later(text: str) -> str | None:
    """Return the slot of a second clause: "I changed teams, I am in billing now"."""
    clause = _CLAUSE.search(text)
    if clause is None or _TROUBLE.search(text) or not re.match(r"(?:i|i'm|my|we|our)\b", text, re.I):
        return None
    return _slot(text[clause.end() :])


def _owned(thing: str, value: str) -> str | None:
    """Return the slot of "my region is the north"; None for a state that passes ("is jammed")."""
    first = value.split()[0].strip(".,;!")
    if _TROUBLE.search(value) or (thing in ("boss", "manager", "employer") and not first[0].isupper()):
        return None
    placed = first in ("in", "at", "on") and re.fullmatch(rf"shift|{_PLACES}", thing) is not None
    named = first[0].isupper() or first[0].isdigit() or first in ("a", "an", "the") or placed
    passing = first.casefold() in _STATE and not placed
    return None if passing or _WORST.match(value) or not (named or _noun(value)) else f"my {thing}"


def _noun(value: str) -> bool:
    """Say whether a value in small letters may be a noun ("support"), not how something is."""
    first = re.split(r"\W+", value.casefold())[0]
    return _HOW_IT_IS.search(value) is None and not (len(first) > 4 and first.endswith(_ENDINGS))


def _names(text: str) -> bool:
    """Say whether what follows "call me" is a name: few words, no secret."""
    name = [token.casefold() for token in re.findall(r"[^\W_]+", text.split(",")[0])]
    few = len([token for token in name if token not in ("from", "now", "on", "please")]) <= 3
    return bool(name) and few and name[0] not in _NO_NAME and not any(map(_coded, name))


def _habit(text: str) -> str | None:
    """Return the slot of "I use Fedora 41", or None: "I use it but it fails" tells of a fault."""
    match = _HABIT.match(text) or _ALWAYS.match(text)
    if match is None or _TROUBLE.search(text):
        return None
    verb = next(group for group in match.groups() if group).casefold()
    if verb.startswith("work") and _SHIFT.search(text):
        return "my shift"
    rest = text[match.end() :]
    if not _object(verb, rest):
        return None
    return _grouped(text) or f"i {stem(verb.split()[0])} {_head(rest)}"


def _object(verb: str, rest: str) -> bool:
    """Say whether what somebody uses, has or prefers is a thing that stays so: not "it", no key."""
    content = [token for token in tokens(rest) if token not in ("a", "an", "the", "my", "our", "some")]
    reading = verb == "prefer" and content[:1] == ["to"] and content[1:2] != ["not"]
    grouped = _grouped(rest) is not None
    if not content or (content[0] in _NO_OBJECT and not reading and not grouped):
        return False
    if any(map(_keyed, content)) or re.match(r"the \w+ to\b", rest, re.IGNORECASE):
        return False
    named = re.search(r"[A-Z]", rest) is not None
    tests = {
        "have": _possessed(rest, content),
        "speak": _TONGUE.match(rest) is not None or rest[0].isupper(),
        "work": _HOURS.match(rest) is not None,
        "work on": grouped or named or re.search(r"\d", rest) is not None,
        "like": named,
        "moved to": grouped or rest[0].isupper(),
    }
    tests["changed to"] = tests["switched to"] = tests["moved to"]
    return tests.get(verb, True)


def _possessed(rest: str, content: list[str]) -> bool:
    """Say whether what somebody has is a thing that stays: known kinds, a count, or a name."""
    if re.search(r"\b[A-Z]-?\d{2,}", rest) or any(
        token in _NO_OBJECT or token.removesuffix("s") in _NO_OBJECT for token in content
    ):
        return False
    counted = re.match(r"(?:two|three|four|five|six|\d+)\s", rest, re.IGNORECASE) is not None
    lasting = re.search(rf"\b(?:{_GROUPS}|{_THINGS}|shop|dog|cat|child|scanner)s?\b", rest, re.IGNORECASE)
    return counted or lasting is not None or re.match(r"(?:an? |the )?[\w-]*[A-Z]", rest) is not None


def _grouped(text: str) -> str | None:
    """Return the slot of the group or place that a statement names, so that a later one replaces it."""
    if match := _GROUP.search(text):
        return f"my {match[1].lower()}"
    return "my region" if _DIRECTION.search(text) else None


def _head(rest: str) -> str:
    """Return the word that says what is used or owned: "Fedora 41" and "Fedora 40" are one thing."""
    skipped = STOP_WORDS | _COUNTING
    stems = [stem(token) for token in tokens(rest) if token not in skipped and token.isalpha()]
    return stems[0] if stems else ""


def _begin(text: str) -> int:
    """Return where a sentence begins after what opens it ("by the way, ")."""
    match = _OPENING.match(text)
    return match.end() if match else 0


def _keyed(token: str) -> bool:
    """Say whether a word looks like a key: long, and letters and digits mixed."""
    return len(token) > 7 and sum(character.isdigit() for character in token) in range(3, len(token))


def _coded(token: str) -> bool:
    """Say whether a word looks like a code: letters and digits mixed, or many digits."""
    digits = sum(character.isdigit() for character in token)
    return digits > 3 or (0 < digits < len(token) and len(token) > 5)
