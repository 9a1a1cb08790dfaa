"""Knows short everyday messages that are no cry for help, as "I am tired" or "end it now".

The classifier has too little to go by in a few words. Only whole messages count: "I am tired of living"
and "end it all" are none of these.
"""

from __future__ import annotations

import re

_WEARY = r"tired|exhausted|sleepy|worn out|sick|ill|bored|hungry|thirsty|cold|late|busy"
_OF = r" of (?:waiting|(?:this|that|the|your) (?:\w+ )?(?:error|message|printer|program|page|screen|app))"
_ORDINARY = re.compile(
    rf"(?:(?:i am|i'?m|i feel|feeling) )?(?:so |very |really |just |a bit |too )?(?:{_WEARY})"
    rf"(?:{_OF})?(?: today| tonight| now| already)?"
    r"|(?:please )?(?:end|stop|finish|quit|cancel|terminate|close) (?:it|this|that)(?: now| please)?"
    r"|i (?:quit|gave up|give up)"
    r"|(?:i(?:'d like| want| need| have| would like) to |let me )(?:sleep|stop|quit|leave|rest)(?: now)?"
    r"|i need (?:sleep|rest|a break|a coffee|coffee)"
    r"|(?:(?:jump|go|skip|scroll|move|get) )?(?:back )?(?:to )?the (?:end|start|beginning|top|bottom)"
    r"|sleep|good ?bye|bye"
)


def ordinary(text: str) -> bool:
    """Say whether a whole message is one of these; a longer or stranger one is not."""
    folded = " ".join(re.sub(r"[^\w' ]+", " ", text.casefold().replace("’", "'")).split())
    return _ORDINARY.fullmatch(folded) is not None
