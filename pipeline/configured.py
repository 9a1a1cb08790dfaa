"""What is configured and from where: each key with its value, its source and no secret."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from pydantic import BaseModel, SecretStr

from pipeline.settings import DEFAULTS, PREFIX, Settings

Source = Literal["environment", ".env", "config.toml", "default"]
KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")  # of providers: only whether they are set is shown
SET, NOT_SET = "set, hidden", "not set"
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*://)(?:[^/@\s]*@)?([^/?#\s]+)[^\s,'\"\]]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ConfiguredKey:
    """A key as people write it in the configuration, its value for people, and where it comes from."""

    key: str
    value: str
    source: Source


def configured(settings: Settings, env_file: Path = Path(".env")) -> list[ConfiguredKey]:
    """Return every key with its value and source; secrets and what addresses carry are left out."""
    environment = _named(os.environ)
    file = _named({key: value for key, value in dotenv_values(env_file).items() if value is not None})
    defaults = tomllib.loads(DEFAULTS.read_text(encoding="utf-8"))
    entries = [
        ConfiguredKey(key, shown(value), _source(key, environment, file, defaults))
        for key, value in _leaves(settings)
    ]
    return [
        *entries,
        *(ConfiguredKey(key, SET if os.environ.get(key) else NOT_SET, "environment") for key in KEYS),
    ]


def shown(value: Any) -> str:
    """Return a value for people: secrets hidden, of an address only its host."""
    if isinstance(value, SecretStr):
        return SET if value.get_secret_value() else NOT_SET
    if value is None:
        return "—"
    return _ADDRESS.sub(r"\1\2/…", str(value)) if "://" in str(value) else str(value)


def _leaves(model: BaseModel, before: str = "") -> Iterator[tuple[str, Any]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _named(values: Mapping[str, str]) -> set[str]:
    """Return the keys that variables set, as they are written in the configuration."""
    return {
        name.upper().removeprefix(PREFIX).lower().replace("__", ".")
        for name in values
        if name.upper().startswith(PREFIX)
    }


def _source(key: str, environment: set[str], file: set[str], defaults: Mapping[str, Any]) -> Source:
    parts = key.split(".")
    ways = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    if ways & environment:
        return "environment"
    if ways & file:
        return ".env"
    place: Any = defaults
    for part in parts:
        if not isinstance(place, dict) or part not in place:
            return "default"
        place = place[part]
    return "config.toml"
