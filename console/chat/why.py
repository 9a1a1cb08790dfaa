"""What an answer rests on: the search, the evidence of each sentence, what was remembered, who answered."""

from __future__ import annotations

import re
from collections.abc import Set

from markupsafe import Markup

from console.chat import markup
from console.chat.exchange import Exchange
from pipeline.citations import MARKER
from pipeline.knowledge.beside import OWN

SUPPORTS = {
    "supported": "Supported",
    "partly": "Partly supported",
    "unsupported": "Not supported",
    "uncited": "No source",
    "unchecked": "Not checked",
}


_SIGNS = re.compile(r"(?<!\w)[*_]{1,3}(?=\S)|(?<=\S)[*_]{1,3}(?!\w)|`|^#+ ")


def why(exchange: Exchange, tongue: str, *, staff: bool, remembered: Set[str]) -> Markup:
    """Return it for one finished turn; nothing for one that searched nothing.

    `remembered` are the facts that are kept still; what a turn cost is for staff alone.
    """
    if exchange.state != "done" or exchange.searched is None:
        return Markup()
    numbers = {passage["n"] for passage in exchange.passages}
    return markup.render(
        "why.html",
        turn=exchange,
        checks=[{**check, "text": _plain(check["text"])} for check in exchange.checks],
        cited=len(markup.cited(exchange.answer) & numbers),
        supports=SUPPORTS,
        own=exchange.kb != OWN and any(passage.get("kb") == OWN for passage in exchange.passages),
        staff=staff,
        remembered=remembered,
        tongue=tongue,
    )


def _plain(text: str) -> str:
    """Return a sentence without its citations and the signs of Markdown."""
    return " ".join(_SIGNS.sub("", MARKER.sub("", text)).split()).replace(" .", ".")
