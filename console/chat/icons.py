"""Inline SVG icons: no icon font, no emoji, nothing loaded from elsewhere."""

from __future__ import annotations

from markupsafe import Markup

_THUMB = (
    '<path d="M7 11v9H4.5a.5.5 0 0 1-.5-.5v-8a.5.5 0 0 1 .5-.5z"/>'
    '<path d="m7 11 4-7.5c1.4 0 2.5 1.1 2.5 2.5v3.5'
    'h4.7a2 2 0 0 1 2 2.3l-1.1 6.5a2 2 0 0 1-2 1.7H7"/>'
)
_PATHS = {
    "menu": '<path d="M4 7h16M4 12h16M4 17h10"/>',
    "new": '<path d="M12 5H6a2 2 0 0 0-2 2v11a2 2 0 0 0 2 2h11a2 2 0 0 0 2-2v-6"/>'
    '<path d="m18 3.5 2.5 2.5-8.5 8.5-3.2.7.7-3.2z"/>',
    "sun": '<circle cx="12" cy="12" r="4"/><path d="M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2'
    'M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4"/>',
    "moon": '<path d="M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z"/>',
    "copy": '<rect x="9" y="9" width="11" height="11" rx="2"/>'
    '<path d="M5 15a1 1 0 0 1-1-1V6a2 2 0 0 1 2-2h8a1 1 0 0 1 1 1"/>',
    "check": '<path d="m5 12.5 4.5 4.5L19 7.5"/>',
    "edit": '<path d="m16.5 4.5 3 3L8.5 18.5l-4 1 1-4z"/>',
    "retry": '<path d="M19.5 12a7.5 7.5 0 1 1-2.3-5.4"/><path d="M19.8 3.5v4h-4"/>',
    "undo": '<path d="M8.5 5 4.5 9l4 4"/><path d="M5 9h9a5.5 5.5 0 0 1 0 11h-3"/>',
    "up": _THUMB,
    "down": f'<g transform="rotate(180 12 12)">{_THUMB}</g>',
    "external": '<path d="M14 4h6v6M20 4l-9 9"/>'
    '<path d="M18 14v4a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2h4"/>',
    "search": '<circle cx="11" cy="11" r="6.5"/><path d="m16 16 4.5 4.5"/>',
    "book": '<path d="M5 19V6a2 2 0 0 1 2-2h12v13H7a2 2 0 0 0-2 2zm0 0a2 2 0 0 0 2 2h12v-4"/>',
    "info": '<circle cx="12" cy="12" r="8.5"/><path d="M12 11v5M12 7.8v.2"/>',
    "alert": '<path d="M12 4 21 19.5H3z"/><path d="M12 10v4.5M12 17v.2"/>',
    "trash": '<path d="M4.5 7h15M9.5 7V4.5h5V7M6.5 7l.8 12.5h9.4L17.5 7M10.2 11v5M13.8 11v5"/>',
    "close": '<path d="m6 6 12 12M18 6 6 18"/>',
    "stop": '<rect x="7" y="7" width="10" height="10" rx="2" fill="currentColor"/>',
    "back": '<path d="m15 6-6 6 6 6"/>',
    "more": '<path d="M6 12h.01M12 12h.01M18 12h.01" stroke-width="3"/>',
    "pin": '<path d="M9 4h6l-1 6 3 3H7l3-3z"/><path d="M12 13v7"/>',
    "link": '<path d="M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1.4 1.4"/>'
    '<path d="M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1.4-1.4"/>',
    "download": '<path d="M12 4v11M7.5 11 12 15.5 16.5 11M5 19.5h14"/>',
    "chevron": '<path d="m9 6 6 6-6 6"/>',
    "chat": '<path d="M4 6.5a2 2 0 0 1 2-2h12a2 2 0 0 1 2 2V15a2 2 0 0 1-2 2h-7l-4.5 3.5V17H6'
    'a2 2 0 0 1-2-2z"/>',
}


def icon(name: str) -> Markup:
    """Return the icon as inline SVG in the colour of the text around it."""
    return Markup(
        f'<svg class="icon" viewBox="0 0 24 24" width="18" height="18" fill="none" stroke="currentColor"'
        f' stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">'
        f"{_PATHS[name]}</svg>"
    )
