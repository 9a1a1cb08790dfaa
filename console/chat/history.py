"""The drawer with a user's conversations, the latest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any

from markupsafe import Markup

from console.chat import markup


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a conversation that was just made; without a path all its links were ended."""

    conversation_id: str
    path: str | None


def drawer(
    conversations: Sequence[Mapping[str, Any]],
    current: str,
    today: date,
    login: str | None = None,
    *,
    search: str = "",
    link: Link | None = None,
    tongue: str = "en",
) -> Markup:
    """Return the list, pinned ones first, then grouped by how long ago a conversation was last used.

    Who signed in can leave.
    """
    groups = groupby(conversations, key=lambda conversation: _group(conversation, today))
    listed = [(label, list(members)) for label, members in groups]
    return markup.render(
        "drawer.html", current=current, groups=listed, login=login, search=search, link=link, tongue=tongue
    )


def _group(conversation: Mapping[str, Any], today: date) -> str:
    return "Pinned" if conversation.get("pinned") else _age(conversation["updated_at"], today)


def _age(updated_at: str, today: date) -> str:
    days = (today - datetime.fromisoformat(updated_at).date()).days
    if days <= 1:
        return "Yesterday" if days == 1 else "Today"
    return "Last 7 days" if days < 7 else "Earlier"
