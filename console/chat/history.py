"""The drawer with a user's conversations, the latest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Any

from markupsafe import Markup

from console.chat import markup


def drawer(
    conversations: Sequence[Mapping[str, Any]], current: str, today: date, login: str | None = None
) -> Markup:
    """Return the list, grouped by how long ago a conversation was last used; who signed in can leave."""
    groups = groupby(conversations, key=lambda conversation: _age(conversation["updated_at"], today))
    listed = [(label, list(members)) for label, members in groups]
    return markup.render("drawer.html", current=current, groups=listed, login=login)


def _age(updated_at: str, today: date) -> str:
    days = (today - datetime.fromisoformat(updated_at).date()).days
    if days <= 1:
        return "Yesterday" if days == 1 else "Today"
    return "Last 7 days" if days < 7 else "Earlier"
