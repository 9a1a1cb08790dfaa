"""The handbook against the product: every command, option and key is in it, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from console.cli import app
from pipeline.knowledge.documents import Document
from pipeline.knowledge.ingest import sample
from pipeline.settings import ELSEWHERE, Settings, _keys

ROOT: Any = get_command(app)
PAGES = sample()
WHOLE = "\n".join(page.text for page in PAGES)
FILES = ("duckdb", "md", "xml", "html", "toml", "json")
EVERYWHERE = {"--help", "--json", "--yes"}
# what a page quotes: a span of code, or a line of a block of code
QUOTED = re.compile(r"`([^`\n]+)`|^(?: {4}|\$ )(.+)$", re.MULTILINE)
LINKED = re.compile(r"\]\((?!https?://|#)([^)\s]+)\)")


def commands(group: Any, name: str = "answerdeck") -> Iterator[tuple[str, Any]]:
    for word, inner in getattr(group, "commands", {}).items():
        if getattr(inner, "commands", None):
            yield from commands(inner, f"{name} {word}")
        else:
            yield f"{name} {word}", getattr(inner, "loaded", inner)


COMMANDS = dict(commands(ROOT))
KEYS = sorted(_keys(Settings, ""))
LEAVES = [key for key in KEYS if not any(other.startswith(f"{key}.") for other in KEYS)]


def options(command: Any) -> set[str]:
    """Return all ways to write the command's options."""
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts) if name[:1] == "-"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_described_with_its_options(name: str) -> None:
    about = "\n".join(page.text for page in PAGES if re.search(rf"{re.escape(name)}\b", page.text))
    assert about, f"no page names {name!r}"
    for one in COMMANDS[name].params:
        ways = {way for way in (*one.opts, *one.secondary_opts) if way[:1] == "-"}
        if ways and not ways & EVERYWHERE:
            assert any(re.search(rf"(?<![\w-]){way}(?![\w-])", about) for way in ways), f"{name}: {ways}"


@pytest.mark.parametrize("key", LEAVES)
def test_every_key_is_described(key: str) -> None:
    variable = "ANSWERDECK_" + key.upper().replace(".", "__")
    assert re.search(rf"`{re.escape(key)}`|{variable}\b", WHOLE), f"no page names {key!r}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.document_id)
def test_a_page_names_only_what_exists(page: Document) -> None:
    wrong = [name for name in re.findall(r"ANSWERDECK_[A-Z0-9_]+", page.text) if name not in ELSEWHERE
             and name.removeprefix("ANSWERDECK_").lower().replace("__", ".") not in KEYS]  # fmt: skip
    sections = {key.split(".")[0] for key in KEYS if "." in key}
    for code, block in QUOTED.findall(page.text):
        line = (code or block).strip()
        if line.startswith("answerdeck "):
            wrong += misused(line)
        elif (
            re.fullmatch(r"[a-z_]+(?:\.[a-z_]+)+", line)
            and line.split(".")[0] in sections
            and not line.endswith(FILES)
        ):
            wrong += [] if line in KEYS else [line]
    wrong += [
        link for link in LINKED.findall(page.text) if link not in {f"{one.document_id}.md" for one in PAGES}
    ]
    assert wrong == []


def misused(line: str) -> list[str]:
    """Return what of a quoted command does not exist: the command itself, or options of it."""
    words = line.split()[1:]
    at: Any = ROOT
    while words and words[0] in getattr(at, "commands", {}):
        at = at.commands[words.pop(0)]
        at = getattr(at, "loaded", at)
    if at is ROOT or (words and getattr(at, "commands", None)):
        return [line]
    known = options(at) | {"--help"}
    return [
        f"{line}: {word}" for word in words if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known
    ]
