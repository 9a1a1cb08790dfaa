"""What a reader does on the chat page in a browser, and what must not happen meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

UNDER_WAY = "#live .turn:is(.searching, .reading, .answering)"


def outside(chat: str, url: str) -> list[str]:
    return [] if url.startswith((chat, "data:", "blob:")) else [url]


def broken(text: str) -> list[str]:
    """Return an error's text, unless Gradio says that its page was left while a request was under way."""
    left = ("AbortError", "Connection errored out")
    return [] if text.removeprefix("Error: ").startswith(left) else [text]


def begin(page: Page, text: str) -> None:
    page.get_by_label("Your question", exact=True).fill(text)
    page.keyboard.press("Enter")


def ask(page: Page, text: str) -> None:
    begin(page, text)
    page.wait_for_selector(f"#live .bubble:has-text('{text}')")
    page.wait_for_selector(UNDER_WAY, state="detached")
