"""Turns text of people, documents and models into safe HTML.

Templates escape every value that is not Markup already, and only this file and the highlights of
a passage make Markup out of text: answers through a Markdown parser that knows no raw HTML.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markupsafe import Markup

from console import format
from console.chat import words
from console.chat.icons import icon
from pipeline.citations import MARKER, cited_numbers

SOURCE = "Source {n}: {title}"
_DULL = ("", "stable", "latest", "en", "docs", "users", "index")  # steps of an address that say nothing
_OPEN_MARKER = re.compile(r"\s?\[\d{0,3}$")
_CHIP = Markup(
    '<a class="cite" href="#source-{n}" data-do="show" data-turn="{turn}" data-n="{n}" data-k="{k}"'
    ' title="{title}" aria-label="{label}">{n}</a>'
)


def render(template: str, **values: Any) -> Markup:
    """Return the template filled in; values are escaped unless they are Markup.

    `tongue` is the language of its fixed words, English without.
    """
    return Markup(_TEMPLATES.get_template(template).render(values))


def cited(answer: str) -> set[int]:
    """Return the numbers an answer cites."""
    return cited_numbers(answer)


def answer(text: str, turn_id: str, titles: Mapping[int, str], tongue: str = "en") -> Markup:
    """Return an answer's Markdown as HTML, its `[n]` as citation chips where n has a title.

    Raw HTML is shown as text, images become links, and links lead to web addresses only.
    """
    return _answer(text, turn_id, tuple(titles.items()), tongue)


def web_address(url: str) -> str | None:
    """Return the address when it is plain http(s) to a host, or None."""
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname
    except ValueError:
        return None
    return url.strip() if parts.scheme in ("http", "https") and host else None


def place(url: str, fallback: str) -> str:
    """Return where a document is, in a few words a reader understands."""
    address = web_address(url)
    if address is None:
        return fallback
    parts = urlsplit(address)
    path = re.sub(r"\.(html?|md|page)(\.\w\w)?$", "", parts.path).strip("/")
    steps = [step for step in path.split("/") if step not in _DULL and not step.isdigit()]
    return " › ".join([parts.hostname or "", *steps[-2:]])


@lru_cache(maxsize=512)
def _answer(text: str, turn_id: str, titles: tuple[tuple[int, str], ...], tongue: str) -> Markup:
    env = {"turn": turn_id, "titles": dict(titles), "tongue": tongue}
    return Markup(_MARKDOWN.render(_OPEN_MARKER.sub("", text), env))


def _chips(state: StateCore) -> None:
    """Replace `[n]` in running text by chip tokens; code and link texts stay as they are.

    `data-k` counts the marks of the same number from 0, in the order of the text.
    """
    seen: Counter[int] = Counter()
    for token in state.tokens:
        if token.type != "inline" or not token.children:
            seen.update(map(int, MARKER.findall(token.content)))
            continue
        children: list[Token] = []
        links = 0
        for child in token.children:
            links += {"link_open": 1, "link_close": -1}.get(child.type, 0)
            if child.type == "text" and not links:
                children += _pieces(child, state.env, seen)
            else:
                seen.update(map(int, MARKER.findall(child.content)))
                children.append(child)
        token.children = children


def _directions(state: StateCore) -> None:
    """Let each block run as its own first letter does: to the left in Arabic or Hebrew."""
    for token in state.tokens:
        if token.level == 0 and token.nesting == 1 and token.type != "table_open":
            token.attrSet("dir", "auto")


def _pieces(token: Token, env: Mapping[str, Any], seen: Counter[int]) -> list[Token]:
    titles, turn_id, tongue = env["titles"], env["turn"], env["tongue"]
    pieces: list[Token] = []
    end = 0
    for match in MARKER.finditer(token.content):
        n = int(match[1])
        seen[n] += 1
        if n not in titles:
            continue
        before = token.content[end : match.start()]
        pieces.append(Token("text", "", 0, content=before.rstrip(" ")))
        pieces.append(Token("chip", "", 0, content=_chip(n, seen[n] - 1, turn_id, titles[n], tongue)))
        end = match.end()
    pieces.append(Token("text", "", 0, content=token.content[end:]))
    return pieces


@lru_cache(maxsize=2048)
def _chip(n: int, k: int, turn_id: str, title: str, tongue: str) -> str:
    label = words.say(tongue, SOURCE, n=n, title=title)
    return str(_CHIP.format(n=n, k=k, turn=turn_id, title=title, label=label))


def _markdown() -> MarkdownIt:
    md = MarkdownIt("commonmark", {"html": False, "breaks": True})
    md.enable(["table", "strikethrough"]).disable(["image", "reference"])
    md.core.ruler.push("chips", _chips)
    md.core.ruler.push("directions", _directions)
    md.validateLink = lambda url: web_address(url) is not None or url.startswith("mailto:")
    md.add_render_rule("chip", lambda self, tokens, index, options, env: tokens[index].content)
    md.add_render_rule("link_open", _link)
    md.add_render_rule("table_open", lambda *_: '<div class="wide"><table>')
    md.add_render_rule("table_close", lambda *_: "</table></div>")
    return md


def _link(self: Any, tokens: list[Token], index: int, options: Any, env: Any) -> str:
    tokens[index].attrSet("target", "_blank")
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    return self.renderToken(tokens, index, options, env)


_MARKDOWN = _markdown()


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(icon=icon, _=_say)
    environment.filters.update(
        seconds=format.seconds, count=format.count, usd=format.usd, short_id=format.short_id
    )
    return environment


@pass_context
def _say(context: Context, text: str, **values: Any) -> str:
    return words.say(context.get("tongue", "en"), text, **values)


_TEMPLATES = _environment()
