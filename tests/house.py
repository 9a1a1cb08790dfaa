"""The house as its tests read it: every file with its syntax tree, and who imports whom."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("traces", "pipeline", "evalsets", "console")  # each imports only from rooms before it


@cache
def sources() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.py"], capture_output=True, text=True, cwd=ROOT, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Return all that a file's source consists of; walked once, since that takes a while."""
    return list(ast.walk(ast.parse(path.read_text("utf-8"))))


@cache
def shipped() -> list[Path]:
    return [path for path in sources() if path.relative_to(ROOT).parts[0] in ROOMS]


@cache
def imports(path: Path) -> set[str]:
    """Return the top-level packages a file imports, lazily or not; those for types alone do not count."""
    typed = [
        node for node in nodes(path) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    ]
    unseen = {id(inner) for node in typed for inner in ast.walk(node)}
    names: set[str] = set()
    for node in (node for node in nodes(path) if id(node) not in unseen):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


@cache
def modules(path: Path) -> set[str]:
    """Return the dotted names of our own modules and names that a file imports, for types or not."""
    names: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.partition(".")[0] in ROOMS}


def last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
