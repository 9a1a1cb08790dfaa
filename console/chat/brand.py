"""How the page presents itself: name, logo, colours and fixed texts of the `[chat]` table."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from pipeline.configuration.chat_section import PICTURES, Chat

ASSETS = Path(__file__).parent / "assets"
READABLE = 4.5  # least contrast of text, WCAG 2 AA
CARDS = {"light": "#ffffff", "dark": "#161b27"}  # what coloured text stands on
DEFAULT = Chat().colour
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Brand:
    """What a team chose; None where the page's own translated words stand."""

    name: str
    logo: Markup
    style: str  # CSS, empty for the colours of the page
    purpose: str | None = None
    greeting: str | None = None
    disclaimer: str | None = None
    examples: Sequence[str] = ()
    contact: bool = False
    language: str = "auto"


def brand(chat: Chat) -> Brand:
    """Return the brand that the table describes."""
    return Brand(
        name=chat.name,
        logo=_logo(chat.logo),
        style="" if chat.colour.lower() == DEFAULT else colours(chat.colour),
        purpose=chat.purpose,
        greeting=chat.greeting,
        disclaimer=chat.disclaimer,
        examples=tuple(chat.examples),
        contact=chat.contact_webhook is not None,
        language=chat.language,
    )


def colours(colour: str) -> str:
    """Return the page's colour tokens made of one colour, each readable where it stands."""
    own = _read(colour)
    on = "#ffffff" if contrast(own, (255, 255, 255)) >= contrast(own, (23, 28, 43)) else "#171c2b"
    rules = []
    for look, card in CARDS.items():
        back, ink = _read(card), (0, 0, 0) if look == "light" else (255, 255, 255)
        strong = _readable(own, back, ink)
        soft, line, bubble = (_mixed(own, back, share) for share in (0.1, 0.35, 0.14))
        tokens = {
            "accent": _written(own),
            "accent-strong": _written(_readable(strong, soft, ink)),
            "accent-soft": _written(soft),
            "accent-line": _written(line),
            "on-accent": on,
            "asked": _written(bubble),
            "pressed": _written(_mixed(own, (0, 0, 0), 0.85)),
        }
        selector = ":root" if look == "light" else ".dark"
        rules.append(selector + "{" + ";".join(f"--{name}:{value}" for name, value in tokens.items()) + "}")
    return "".join(rules)


def contrast(colour: Colour, other: Colour) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2, relative luminance)."""
    light, dark = sorted((_luminance(colour), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _readable(colour: Colour, back: Colour, towards: Colour) -> Colour:
    """Return the colour, mixed with another until text of it can be read on its background."""
    for share in range(20, -1, -1):
        mixed = _mixed(colour, towards, share / 20)
        if contrast(mixed, back) >= READABLE:
            return mixed
    return towards


def _luminance(colour: Colour) -> float:
    parts = [part / 255 for part in colour]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _mixed(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a * share + b * (1 - share)) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def _read(colour: str) -> Colour:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _written(colour: Colour) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)


def _logo(path: Path | None) -> Markup:
    """Return the logo; a team's own as a picture, which runs nothing."""
    if path is None:
        return Markup((ASSETS / "logo.svg").read_text("utf-8"))
    data = base64.b64encode(path.read_bytes()).decode()
    source = f"data:{PICTURES[path.suffix.lower()]};base64,{data}"
    return Markup('<img class="logo" src="{}" alt="" height="32">').format(source)
