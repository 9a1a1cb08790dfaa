"""Which turns of a conversation have other versions, and where each stands among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from console.chat.exchange import Exchange
from console.chat.thread import Versions


def placed(exchanges: Sequence[Exchange], parted: Mapping[str, Sequence[str]]) -> dict[str, Versions]:
    """Return the place of each turn that has versions beside it.

    `parted` names the versions set aside by the kept turn after which they part; turns that were
    stopped are not kept, so only the first turn after a kept one has a place.
    """
    places: dict[str, Versions] = {}
    before: str | None = ""
    for exchange in exchanges:
        if before is not None and (others := parted.get(before)):
            heads = sorted([*others, exchange.turn_id])
            at = heads.index(exchange.turn_id)
            places[exchange.turn_id] = Versions(
                place=at + 1,
                count=len(heads),
                before=heads[at - 1] if at else None,
                after=heads[at + 1] if at + 1 < len(heads) else None,
            )
        before = exchange.turn_id if exchange.state == "done" else None
    return places
