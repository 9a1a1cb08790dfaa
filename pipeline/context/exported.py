"""A conversation as a file its user takes along: Markdown to read, JSON to work with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from pipeline.context.memory import Memory

Form = Literal["markdown", "json"]
_KINDS = {"markdown": ("text/markdown; charset=utf-8", "md"), "json": ("application/json", "json")}


@dataclass(frozen=True, slots=True)
class File:
    """A file to download."""

    name: str
    media_type: str
    content: bytes

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Disposition": f'attachment; filename="{self.name}"', "Cache-Control": "no-store"}


def exported(memory: Memory, user_id: str, conversation_id: str, form: Form) -> File | None:
    """Return the user's conversation as a file, or None when there is no such one."""
    title = memory.history.title(user_id, conversation_id)
    turns = memory.conversation(user_id, conversation_id)
    if title is None or turns is None:
        return None
    media_type, suffix = _KINDS[form]
    name = "-".join(re.findall(r"[a-z0-9]+", title.lower()))[:60] or "conversation"
    content = markdown(title, turns) if form == "markdown" else _json(conversation_id, title, turns)
    return File(f"{name}.{suffix}", media_type, content)


def markdown(title: str, turns: Sequence[dict[str, Any]]) -> bytes:
    """Return questions as headings, answers as they were, and under each the sources it cites."""
    parts = [f"# {_line(title)}"]
    for turn in turns:
        parts += [f"## {_line(turn['question'])}", f"*{turn['asked_at'][:16].replace('T', ' ')} UTC*"]
        parts.append(turn["answer"])
        if turn["notice"]:
            parts.append(f"> {turn['notice']}")
        sources = [f"{c['n']}. {_line(c['title'])} {_address(c['url'])}".rstrip() for c in turn["citations"]]
        if sources:
            parts.append("\n".join(sources))
    return ("\n\n".join(parts) + "\n").encode()


def _json(conversation_id: str, title: str, turns: Sequence[dict[str, Any]]) -> bytes:
    value = {"conversation_id": conversation_id, "title": title, "turns": turns}
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)


def _line(text: str) -> str:
    return " ".join(text.split())


def _address(url: str) -> str:
    return f"<{url}>" if url.startswith(("http://", "https://")) else ""
