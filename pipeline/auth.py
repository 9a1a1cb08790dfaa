"""Who is asking: bearer keys with roles from the configuration, and browser sessions begun with one."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["user", "viewer", "editor", "approver", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
SESSION_SECONDS = 12 * 3600.0
_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_SESSIONS = 10_000


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may ask; roles rise from user to admin."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Tell whether this person has the role or a higher one."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def operator(self) -> bool:
        """Whether this person may read any turn and name a prompt or model."""
        return self.may("editor")


LOCAL = Person("local", "admin")  # everybody, while no key is configured and only this machine can connect


class Keys:
    """The keys of the configuration: "name:role:sha256 of the key", separated by commas.

    Raises ValueError naming the entry by its place, never by its text.
    """

    def __init__(self, text: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._people: list[tuple[bytes, Person]] = []
        self._sessions: dict[str, tuple[float, Person]] = {}
        self._clock = clock
        for place, entry in enumerate(filter(None, re.split(r"[,\s]+", text)), start=1):
            self._people.append(_read(place, entry))

    def __bool__(self) -> bool:
        return bool(self._people)

    def person(self, key: str) -> Person | None:
        """Return whose key this is; takes the same time whether it is one or not."""
        digest = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest().encode()
        found = [person for known, person in self._people if hmac.compare_digest(known, digest)]
        return found[0] if found else None

    def begin(self, person: Person) -> str:
        """Begin a browser session and return its token."""
        now = self._clock()
        self._sessions = {token: entry for token, entry in self._sessions.items() if entry[0] > now}
        if len(self._sessions) >= _MOST_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        token = secrets.token_urlsafe(32)
        self._sessions[token] = (now + SESSION_SECONDS, person)
        return token

    def session(self, token: str) -> Person | None:
        """Return whose running session this is."""
        ends, person = self._sessions.get(token, (0.0, None))
        return person if ends > self._clock() else None

    def end(self, token: str) -> None:
        """End a browser session."""
        self._sessions.pop(token, None)


def _read(place: int, entry: str) -> tuple[bytes, Person]:
    name, _, rest = entry.partition(":")
    role, _, digest = rest.partition(":")
    if not _NAME.fullmatch(name):
        raise ValueError(f"entry {place} must begin with a name of letters, digits, '.', '_', '@' or '-'")
    if role not in ROLES:
        raise ValueError(f"entry {place} ({name}) needs one of the roles {', '.join(ROLES)}")
    if not _DIGEST.fullmatch(digest.lower()):
        raise ValueError(f"entry {place} ({name}) needs the SHA-256 of its key, 64 hex digits, not the key")
    return digest.lower().encode(), Person(name, role)  # type: ignore[arg-type]  # checked just above
