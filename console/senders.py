"""Sends a message where people look: webhooks by hand, everything else through apprise."""

from __future__ import annotations

import hashlib
import json
import urllib.request
import warnings
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from pipeline.settings import Settings
from traces.alerts.standing import AlertMessage

POST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where to send, and under which name it may be spoken of: the address itself holds secrets."""

    name: str
    url: str
    kind: Literal["webhook", "apprise"]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def addresses(settings: Settings) -> dict[str, Address]:
    """Return who is told, by a name without secrets that stays the same over restarts."""
    webhooks = [Address(_name("webhook", url), url, "webhook") for url in settings.alerts.webhooks]
    targets = [target.get_secret_value() for target in settings.alerts.targets]
    others = [Address(_name(urlsplit(url).scheme, url), url, "apprise") for url in targets]
    return {webhook.name: webhook for webhook in (*webhooks, *others)}


def send(address: Address, message: AlertMessage) -> str | None:
    """Send one message; return why it failed, without the secret parts of the address."""
    failure = _webhook(address, message) if address.kind == "webhook" else _apprise(address, message)
    return None if failure is None else f"{address.name}: {failure}"


def _webhook(address: Address, message: AlertMessage) -> str | None:
    body = json.dumps({"text": f"Answerdeck: {message.text}"}).encode()
    request = urllib.request.Request(address.url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=POST_SECONDS):
            return None
    except OSError as error:
        return f"{urlsplit(address.url).hostname}: {error}"


def _apprise(address: Address, message: AlertMessage) -> str | None:
    from apprise import Apprise, NotifyType

    post = Apprise()
    with warnings.catch_warnings():  # its mail plugin still knows Python's imghdr
        warnings.filterwarnings("ignore", "'imghdr'", DeprecationWarning)
        accepted = post.add(address.url)
    if not accepted:
        return "is no address that can be sent to; see the list of services of apprise"
    kinds = {"over": NotifyType.SUCCESS, "test": NotifyType.INFO}
    kind = kinds.get(message.event, NotifyType.FAILURE if message.severity == "page" else NotifyType.WARNING)
    title = {"over": "Answerdeck: over", "test": "Answerdeck: test"}.get(message.event, "Answerdeck: alert")
    sent = post.notify(body=message.text.removeprefix("over: "), title=title, notify_type=kind)
    return None if sent else "the service did not take the message"


def _name(kind: str, url: str) -> str:
    return f"{kind}-{hashlib.sha256(url.encode()).hexdigest()[:6]}"
