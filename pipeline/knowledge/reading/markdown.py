"""Markdown: front matter, title, comments and pictures; code stays as it is."""

from __future__ import annotations

import re
from typing import Any

from pipeline.knowledge.reading.charset import decode
from pipeline.knowledge.reading.kinds import stem

LONGEST_HEAD = 65_536  # characters of front matter
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)(?:^)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
_DATA = re.compile(
    r"data:[\w.+-]+/[\w.+-]+(?:;[\w.=+-]+)*;base64,[A-Za-z0-9+/=%_\-\s]*?(?=[^A-Za-z0-9+/=%_\-\s]|\Z)"
)
_PICTURE = re.compile(r"!\[([^\]]*)\]\(\s*<?\s*>?\s*(?:[\"'][^\"']*[\"'])?\s*\)")
_RUN = re.compile(r"(?<![\w+/=])[A-Za-z0-9+/]{200,}={0,2}(?![\w+/=])")
_DEFINITION = re.compile(r"(?m)^ {0,3}\[[^\]\n]+\]:\s*<?>?\s*(?:[\"'(][^\n]*)?$\n?")
_ATX = re.compile(r"^ {0,3}#{1,2}[ \t]+(.+?)[ \t]*#*[ \t]*$")
_SETEXT = re.compile(r"^ {0,3}(?:=+|-{2,})[ \t]*$")


def read(data: bytes, name: str) -> tuple[str, str]:
    """Return (title, text) of a Markdown file."""
    text = decode(data).replace("\r\n", "\n").replace("\r", "\n")
    title, description, text = _front(text)
    if description and description not in " ".join(text.split()):
        text = f"{description}\n\n{text}"
    text = without_data(_without_comments(text))
    return title or heading(text) or stem(name), text


def without_data(text: str) -> str:
    """Return the text without base64 data, in data addresses or bare; a picture leaves its description."""
    if "base64," in text:
        text = _DATA.sub("", text)
        text = _DEFINITION.sub("", _PICTURE.sub(r"\1", text))
        text = re.sub(r"<img\b[^>]*?\bsrc=[\"']{2}[^>]*>", "", text)
    return _RUN.sub(_unless_text, text)


def _unless_text(run: re.Match[str]) -> str:
    """Keep a long run that is one letter repeated or without the mixture that data has."""
    text = run.group()
    mixed = len(set(text)) > 20 and re.search(r"\d", text) and re.search(r"[a-z][A-Z]|[A-Z][a-z]", text)
    return "" if mixed else text


def heading(text: str) -> str | None:
    """Return the first heading of the first or second level that is no code."""
    before = ""
    for line, is_code in _lines(text):
        if is_code or line.startswith(("    ", "\t")):
            before = ""
            continue
        if match := _ATX.match(line):
            return _plain(match.group(1))
        if before.strip() and _SETEXT.match(line) and not re.match(r"\s*([-*+>|]|\d+[.)])\s", before):
            return _plain(before.strip())
        before = line
    return None


def _front(text: str) -> tuple[str | None, str, str]:
    """Take YAML front matter off and return (title, description, text); a rule at the top is none."""
    match = _FRONT.match(text[:LONGEST_HEAD])
    values = _yaml(match[1]) if match else None
    if match is None or values is None:
        return None, "", text
    description = _line(values, "description")
    if description and description[-1] not in ".!?:…。！？":
        description += "."
    return _line(values, "title") or None, description, text[match.end() :]


def _line(values: dict[str, Any], key: str) -> str:
    """Return a value on one line; "" where there is none, or a list."""
    value = values.get(key)
    return "" if value is None or isinstance(value, (list, dict)) else " ".join(str(value).split())


def _yaml(source: str) -> dict[str, Any] | None:
    """Return the values; None when this is no front matter. What YAML cannot read may still hold a title."""
    import yaml

    if not source.strip():
        return {}
    try:
        values = yaml.safe_load(source)
    except (yaml.YAMLError, ValueError, RecursionError):
        match = re.search(r"(?m)^title:[ \t]*(.+)$", source)
        keys = re.findall(r"(?m)^[\w-]+:(?:\s|$)", source)
        if not keys:
            return None
        return {"title": match.group(1).strip("\"' ")} if match else {}
    return values if isinstance(values, dict) else None


def _lines(text: str) -> list[tuple[str, bool]]:
    """Return the lines, each with whether it belongs to a fenced block."""
    lines: list[tuple[str, bool]] = []
    fence = ""
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if fence:
            lines.append((line, True))
            if match and match.group(1).startswith(fence) and not match.group(2).strip():
                fence = ""
        elif match and not (match.group(1)[0] == "`" and "`" in match.group(2)):
            fence = match.group(1)
            lines.append((line, True))
        else:
            lines.append((line, False))
    return lines


def _without_comments(text: str) -> str:
    """Drop `<!-- ... -->` outside code; one that is never closed is text."""
    if "<!--" not in text:
        return text
    lines: list[str] = []
    place = 0
    for start in _openings(text):
        if start < place:
            continue
        end = text.find("-->", start + 4)
        if end < 0:
            break
        lines.append(text[place:start])
        place = end + 3
    return "".join(lines) + text[place:]


def _openings(text: str) -> list[int]:
    """Return where comments open: not in a fence, in inline code or after a backslash."""
    places: list[int] = []
    offset = 0
    blocks: list[tuple[int, str]] = []
    for line, is_code in _lines(text):
        if is_code or not line.strip():
            blocks.append((offset, ""))
        elif blocks and blocks[-1][1]:
            start, before = blocks.pop()
            blocks.append((start, f"{before}\n{line}"))
        else:
            blocks.append((offset, line))
        offset += len(line) + 1
    for start, block in blocks:
        if "<!--" in block:
            bare = _code_blanked(block)
            places += [start + match.start() for match in re.finditer(r"(?<!\\)<!--", bare)]
    return places


def _code_blanked(block: str) -> str:
    """Replace inline code by blanks of the same length."""
    return re.sub(
        r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", lambda code: " " * len(code.group()), block, flags=re.DOTALL
    )


def _plain(title: str) -> str:
    """Take the mark-up off a heading: links, emphasis, code, an id in braces."""
    title = re.sub(r"\s*\{#[^}]*\}\s*$", "", title)
    title = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", title)
    title = re.sub(r"(\*\*|__|`)(.+?)\1", r"\2", title)
    return " ".join(title.split())
