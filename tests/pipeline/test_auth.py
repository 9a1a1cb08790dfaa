"""Keys, roles and browser sessions."""

from __future__ import annotations

import hashlib

import pytest

from pipeline.auth import LOCAL, Keys, Person
from pipeline.errors import ConfigurationError
from pipeline.settings import load_settings


def entry(name: str, role: str, key: str) -> str:
    return f"{name}:{role}:{hashlib.sha256(key.encode()).hexdigest()}"


def test_keys_name_people() -> None:
    keys = Keys(
        entry("ada", "admin", "k1")
        + ", "
        + entry("bob", "user", "k2").upper().replace("BOB:USER", "bob:user")
    )
    assert keys.person("k1") == Person("ada", "admin")
    assert keys.person("k2") == Person("bob", "user")
    assert keys.person("k3") is None
    assert keys.person("\ud800") is None
    assert bool(keys)
    assert not Keys("")


def test_roles_rise() -> None:
    assert [Person("x", role).operator for role in ("user", "viewer", "editor", "approver", "admin")] == [
        False, False, True, True, True,
    ]  # fmt: skip
    assert LOCAL.operator
    assert not Person("x", "viewer").may("editor")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ada:admin:my-plain-key", "entry 1 (ada) needs the SHA-256"),
        ("ada:boss:" + "0" * 64, "entry 1 (ada) needs one of the roles"),
        (":admin:" + "0" * 64, "entry 1 must begin with a name"),
    ],
)
def test_a_bad_entry_is_named_without_its_key(text: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_AUTH__KEYS", text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert says in str(caught.value)
    assert "auth.keys" in str(caught.value)
    assert "my-plain-key" not in str(caught.value)
