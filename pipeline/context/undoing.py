"""Turns "and how do I undo that?" into the question it stands for: the contrary of the one before."""

from __future__ import annotations

import re

LONGEST = 300  # characters of a question that may be turned round; a pasted log has more
LATEST = 4  # words of a question among which its act stands, after "how do I"
_WAYS = r"(?:that|it|this|them|these|those|one)"
_UNDO = re.compile(
    rf"\b(?:undo|revert|reverse|cancel|rescind|reset) (?:{_WAYS}|the change)\b"
    rf"|\b(?:get rid of|take|turn|put|bring|set|change|switch) {_WAYS} (?:out|off|away|back)\b"
    rf"|\b(?:take back|get rid of|go back (?:from|on)) {_WAYS}\b"
    r"|\b(?:undo|revert|go back)(?: again| later| afterwards)*\W*$"
    r"|^\W*(?:and |or |but )?(?:the |(?:what|how) about the )?(?:other way a?round|opposite|reverse)\b",
    re.IGNORECASE,
)
_HOW = re.compile(
    r"\W*(?:(?:and|so|ok|okay|please|hi|hello)\W+)*(?:how (?:do|can|to|could|should|would)|can|could|may"
    r"|what do|i (?:want|need|would like)|i'd like)?(?: (?:i|we|you|one|to)\b)*\s*",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+")
_STATE = re.compile(r"\b(?P<act>(?:turn|switch)\w*\b[^.?!\n]*?) (?P<state>on|off)\b", re.IGNORECASE)
_CONTRARY = """activate=deactivate add=remove allow=forbid archive=restore assign=remove attach=detach
    block=unblock close=open connect=disconnect copy=remove create=delete deactivate=activate define=remove
    delete=restore deploy=remove disable=enable disconnect=connect enable=disable encrypt=decrypt enter=leave
    freeze=unfreeze give=remove grant=revoke hide=show import=remove include=exclude index=remove
    ingest=remove insert=remove install=uninstall invite=remove join=leave limit=lift load=unload
    lock=unlock make=delete merge=split mount=unmount mute=unmute open=close pair=unpair pin=unpin
    publish=withdraw register=unregister remove=restore set=remove share=unshare
    show=hide start=stop stop=start subscribe=unsubscribe uninstall=install unlock=lock upload=delete"""
_CONTRARIES = {act: other for act, _, other in (pair.partition("=") for pair in _CONTRARY.split())}
_APART = frozenset({"remove", "delete", "exclude", "disconnect", "detach", "unload"})


def undone(question: str, before: str) -> str | None:
    """Return the question before with the contrary of its act, when the other asks how to undo it.

    None when it asks something else, or the question before has no act that is known here.
    """
    if len(before) > LONGEST or _UNDO.search(question[:LONGEST]) is None:
        return None
    switched = _STATE.sub(_switched, before, count=1)
    if switched != before:
        return switched
    opening = _HOW.match(before)
    begin = opening.end() if opening else 0
    for word in list(_WORD.finditer(before, begin))[:LATEST]:
        other = _CONTRARIES.get(word.group().casefold())
        if other is not None:
            after = before[word.end() :]
            if other in _APART:
                after = re.sub(r"\b(?:in)?to\b", "from", after, count=1)
            return f"{before[: word.start()]}{other}{after}"
    return None


def _switched(match: re.Match[str]) -> str:
    return f"{match['act']} {'off' if match['state'].casefold() == 'on' else 'on'}"
