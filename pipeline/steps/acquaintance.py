"""Meets what people say of themselves and ask back: "call me Wren", "what is my region?", "forget it all"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.context.facts import Fact, disowned, forgettable
from pipeline.context.statements import stated
from pipeline.events import Message
from pipeline.steps.live_turn import LiveTurn
from pipeline.talk import SmallTalk, heard, reply
from pipeline.text.sentences import sentences
from traces.records import TRIALS

LONGEST = 300  # characters; who writes more has something to ask
KEEPING = "I will keep that in mind. What would you like to know?"
FORGETTING = "I will forget that."
STRANGER = "You have not told me anything about yourself yet."

_OF_ME = re.compile(
    r"\W*(?:(?:what (?:do|did) you|do you) (?:know|remember|remembered)(?: anything)? (?:about|of) me"
    r"|what have i told you(?: about me| about myself)?|who am i|list (?:what you know (?:about|of) me"
    r"|my facts))\W*",
    re.IGNORECASE,
)
_MINE = re.compile(
    r"\W*(?:do you (?:know|remember) )?(?:what(?:'s| is| are|s)?|which) (?:is |are )?my ([\w ]{2,30}?)"
    r"(?: is| are| now)?\W*"
    r"|\W*(?:which|what) ([\w ]{2,30}?) (?:am i|are we|do i (?:work|live)) (?:in|on|from|at)\W*",
    re.IGNORECASE,
)


def met(turn: LiveTurn, history: Sequence[Message], *, quoting: bool) -> str | None:
    """Return what to say to a text that speaks of its author alone; None when it may ask the documents.

    Also None where nothing would be remembered. `quoting`: the model only quotes documents, so wishes
    for other answers are declined. What is stated is kept after the turn (`Memory.digest`), what is
    disowned goes then.
    """
    text, facts = turn.text, turn.recollection.facts
    if turn.history is not None or turn.question.door in TRIALS or len(text) > LONGEST:
        return None
    recital = _recital(text, facts)
    if recital is not None:
        return recital
    topic = disowned(text)
    if topic is not None:
        return FORGETTING if forgettable(topic, facts) else None
    slots = _slots(text)
    if any(slot.startswith("answers") for slot in slots):
        return _wish(slots, history, quoting=quoting)
    return KEEPING if slots or turn.recollection.emended else None


def _slots(text: str) -> list[str]:
    """Return what the sentences state, when each of them states something or is talk; else nothing."""
    slots: list[str] = []
    for start, end in sentences(text):
        facts = stated(text[start:end])
        if not facts and heard(text[start:end]) is None:
            return []
        slots += [slot for slot, _ in facts]
    return slots


def _wish(slots: list[str], history: Sequence[Message], *, quoting: bool) -> str | None:
    """Return the reply to a wish for other answers; None where the model may answer anew as wished."""
    if quoting:
        return reply(SmallTalk("translate" if "answers language" in slots else "simpler", "en"), history)
    return None if history else KEEPING


def _recital(text: str, facts: Sequence[Fact]) -> str | None:
    """Return the facts that a question of oneself asks for, in the words they were stated in."""
    if _OF_ME.fullmatch(text):
        return STRANGER if not facts else "You told me: " + " ".join(f"“{fact.text}”" for fact in facts)
    match = _MINE.fullmatch(text)
    if match is None:
        return None
    slot = f"my {(match[1] or match[2]).casefold()}"
    return next((f"You told me: “{fact.text}”" for fact in facts if fact.slot == slot), None)
