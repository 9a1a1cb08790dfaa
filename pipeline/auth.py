"""Who is asking: people with roles, and the bearer keys of the configuration."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Literal, get_args

from traces.records import DEFAULT

Role = Literal["user", "viewer", "editor", "approver", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_WORKSPACE = re.compile(r"[a-z0-9-]{1,32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may ask; roles rise from user to admin, each within the person's workspace."""

    name: str
    role: Role
    workspace: str = DEFAULT

    def may(self, role: Role) -> bool:
        """Tell whether this person has the role or a higher one."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def operator(self) -> bool:
        """Whether this person may read any turn and name a prompt or model."""
        return self.may("editor")

    def keeps(self, role: Role) -> bool:
        """Tell whether this person has the role over the whole installation, all workspaces included."""
        return self.workspace == DEFAULT and self.may(role)


LOCAL = Person("local", "admin")  # everybody, while no key is configured and only this machine can connect


class Keys:
    """The keys of the configuration: "name:role:sha256 of the key", separated by commas.

    A workspace may follow after another colon.
    Raises ValueError naming the entry by its place, never by its text.
    """

    def __init__(self, text: str) -> None:
        self._people: list[tuple[bytes, Person]] = []
        for place, entry in enumerate(filter(None, re.split(r"[,\s]+", text)), start=1):
            self._people.append(_read(place, entry))

    def __bool__(self) -> bool:
        return bool(self._people)

    def person(self, key: str) -> Person | None:
        """Return whose key this is; takes the same time whether it is one or not."""
        return self.by_digest(digest(key))

    def named(self, name: str) -> bool:
        """Tell whether a key belongs to somebody of this name."""
        return any(person.name == name for _, person in self._people)

    def by_digest(self, hexadecimal: str) -> Person | None:
        """Return whose key has this SHA-256."""
        given = hexadecimal.encode()
        people = [person for digest, person in self._people if hmac.compare_digest(digest, given)]
        return people[0] if people else None


def digest(key: str) -> str:
    """Return the SHA-256 of a key or token, 64 hex digits: keys are long and random, so it needs no salt."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def named(name: str) -> str:
    """Return a person's name; raises ValueError saying what a name is made of."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:64]!r} is no name: use 1 to 64 letters, digits, '.', '_', '@' or '-'")
    return name


def is_workspace(name: str) -> bool:
    """Tell whether a workspace may have this name."""
    return _WORKSPACE.fullmatch(name) is not None


def workspace_named(name: str) -> str:
    """Return a workspace's name; raises ValueError saying what one is made of."""
    if not is_workspace(name):
        raise ValueError(f"{name[:64]!r} names no workspace: use 1 to 32 small letters, digits or '-'")
    return name


def _read(place: int, entry: str) -> tuple[bytes, Person]:
    name, _, rest = entry.partition(":")
    role, _, rest = rest.partition(":")
    hexadecimal, _, workspace = rest.partition(":")
    if not _NAME.fullmatch(name):
        raise ValueError(f"entry {place} must begin with a name of letters, digits, '.', '_', '@' or '-'")
    if role not in ROLES:
        raise ValueError(f"entry {place} ({name}) needs one of the roles {', '.join(ROLES)}")
    if not _DIGEST.fullmatch(hexadecimal.lower()):
        raise ValueError(f"entry {place} ({name}) needs the SHA-256 of its key, 64 hex digits, not the key")
    if workspace and not _WORKSPACE.fullmatch(workspace):
        raise ValueError(f"entry {place} ({name}) ends in {workspace[:40]!r}, which names no workspace")
    person = Person(name, role, workspace or DEFAULT)  # type: ignore[arg-type]  # checked just above
    return hexadecimal.lower().encode(), person
