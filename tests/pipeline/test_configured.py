"""Every key is shown with its source; no secret is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.configured import configured, shown
from pipeline.settings import load_settings


def test_each_key_names_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_RETRIEVAL__PASSAGES", "4")
    monkeypatch.setenv("ANSWERDECK_AUTH__KEYS", f"ada:admin:{hashlib.sha256(b'secret').hexdigest()}")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    env = tmp_path / ".env"
    env.write_text("ANSWERDECK_RETRIEVAL__FLOOR=0.3\n")
    settings = load_settings(data_dir=tmp_path)
    entries = {one.key: one for one in configured(settings, env)}
    assert (entries["retrieval.passages"].value, entries["retrieval.passages"].source) == ("4", "environment")
    assert entries["retrieval.floor"].source == ".env"
    assert entries["retrieval.candidates"].source == "config.toml"
    assert {one.source for one in entries.values()} == {"environment", ".env", "config.toml", "default"}
    assert entries["auth.keys"].value == entries["OPENAI_API_KEY"].value == "set, hidden"
    assert entries["ANTHROPIC_API_KEY"].value == "not set"
    assert not any(
        hashlib.sha256(b"secret").hexdigest() in one.value or "sk-" in one.value for one in entries.values()
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (["https://hooks.slack.com/services/T0/B0/token"], "['https://hooks.slack.com/…']"),
        ("postgresql://ada:pass@db.example:5432/traces", "postgresql://db.example:5432/…"),
        (SecretStr(""), "not set"),
        (SecretStr("x"), "set, hidden"),
        (None, "—"),
        (0.3, "0.3"),
    ],
)
def test_what_addresses_carry_is_left_out(value: object, text: str) -> None:
    assert shown(value) == text
