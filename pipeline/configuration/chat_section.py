"""What the section `[chat]` may say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from pipeline.configuration.sections import Section

PICTURES = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}
PICTURE_BYTES = 200_000  # it travels with every page


class Chat(Section):
    """How the chat page presents itself."""

    name: str = Field(default="Answerdeck", min_length=1, max_length=60)
    purpose: str | None = Field(default=None, max_length=160)
    logo: Path | None = None
    colour: str = Field(default="#4f46e5", pattern=r"^#[0-9a-fA-F]{6}$")
    greeting: str | None = Field(default=None, max_length=160)
    examples: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default=[], max_length=8)
    disclaimer: str | None = Field(default=None, max_length=400)
    contact_webhook: str | None = None
    language: Literal["auto", "en", "de", "fr", "es", "pt", "zh"] = "auto"
    uploads: Literal["off", "private"] = "off"
    upload_bytes: int = Field(default=20_000_000, ge=1, le=50_000_000)
    upload_files: int = Field(default=20, ge=1, le=1000)
    upload_pages: int = Field(default=500, ge=1, le=20_000)
    upload_days: int = Field(default=90, ge=1, le=3650)

    @field_validator("contact_webhook")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("it must be an http(s) address")
        return value

    @field_validator("logo")
    @classmethod
    def _picture(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        if value.suffix.lower() not in PICTURES:
            raise ValueError(f"{value.name!r} is no picture for a page; use {', '.join(PICTURES)}")
        if not value.is_file():
            raise ValueError(f"there is no file {str(value)!r}")
        if value.stat().st_size > PICTURE_BYTES:
            raise ValueError(f"{value.name!r} is larger than {PICTURE_BYTES // 1000} kB; make it smaller")
        return value
