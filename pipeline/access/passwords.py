"""Passwords of local users, kept as salted scrypt hashes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

LEAST_CHARACTERS = 10
MOST_CHARACTERS = 1024
COST = (2**15, 8, 1)  # n, r, p: 32 MiB and about 80 ms of one core
_MEMORY_BYTES = 128 * 1024 * 1024
_SALT_BYTES = 16


def checked(password: str) -> str:
    """Return the password; raises ValueError when it is too short or too long."""
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise ValueError(f"a password has {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters")
    return password


def hashed(password: str) -> str:
    """Return a new hash of the password, with its cost and salt in front."""
    salt = secrets.token_bytes(_SALT_BYTES)
    numbers = ":".join(str(number) for number in COST)
    return f"scrypt${numbers}${_text(salt)}${_text(_scrypt(password, salt, COST))}"


def matches(password: str, stored: str | None) -> bool:
    """Tell whether the password is the one kept; takes as long when there is none."""
    _, numbers, salt, value = (stored or _NOBODY).split("$")
    n, r, p = (int(number) for number in numbers.split(":"))
    computed = _scrypt(password[:MOST_CHARACTERS], base64.b64decode(salt), (n, r, p))
    return hmac.compare_digest(computed, base64.b64decode(value)) and stored is not None


def _scrypt(password: str, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    n, r, p = cost
    secret = password.encode("utf-8", "replace")
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=_MEMORY_BYTES, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


_NOBODY = f"scrypt${':'.join(str(number) for number in COST)}${_text(b'-' * _SALT_BYTES)}${_text(b'-' * 32)}"
