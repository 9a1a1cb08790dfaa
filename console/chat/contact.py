"""Hands a conversation to a person: posts it as JSON to the address a team configured."""

from __future__ import annotations

import json
import logging
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

log = logging.getLogger(__name__)
POST_SECONDS = 5.0
_SHOWN = ("turn_id", "asked_at", "question", "answer", "outcome", "notice", "citations")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def hand_over(
    webhook: str, user: str, conversation: str, title: str, message: str, turns: Sequence[Mapping[str, Any]]
) -> bool:
    """Post what the user writes with the conversation attached; False when nobody took it."""
    body = {
        "event": "talk_to_a_person",
        "text": f"{user} would like to talk to a person: {title}",
        "user": user,
        "message": message,
        "conversation_id": conversation,
        "title": title,
        "turns": [{key: turn.get(key) for key in _SHOWN} for turn in turns],
    }
    request = urllib.request.Request(webhook, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=POST_SECONDS):
            return True
    except (OSError, ValueError) as error:
        log.error("%s took no conversation: %s", urlsplit(webhook).hostname, type(error).__name__)
        return False
