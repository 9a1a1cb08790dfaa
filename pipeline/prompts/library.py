"""Prompts as versioned files: read, check, fingerprint, fill."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tomllib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import AnswerdeckError

log = logging.getLogger(__name__)
SHIPPED = Path(__file__).parent
_NAME = re.compile(r"^([a-z_]+)@v(\d+)$")
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_PARTS = re.compile(r"^\+\+\+\n(.*?)\n\+\+\+\n# system\n(.*?)\n# user\n(.*)$", re.DOTALL)


class PromptError(AnswerdeckError):
    """A prompt file is missing, malformed or was changed after its release."""


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """One version of a prompt. `fingerprint` is 8 hex digits of the file's SHA-256."""

    name: str  # "answer"
    version: int
    purpose: str
    placeholders: tuple[str, ...]
    system: str
    user: str
    fingerprint: str
    text: str  # the whole file

    @property
    def label(self) -> str:
        return f"{self.name}@v{self.version}"

    def fill(self, **values: str) -> tuple[str, str]:
        """Return (system, user) with the placeholders replaced once; braces in values stay as they are."""

        def value(match: re.Match[str]) -> str:
            return values[match.group(1)]

        return _PLACEHOLDER.sub(value, self.system), _PLACEHOLDER.sub(value, self.user)


class Library:
    """The prompts of one folder: `<folder>/<name>/v<N>.md`, released ones listed in released.toml.

    With `below` the versions of that folder are there too, and never written to. The numbers of the
    folders `beside` are taken, so that a label names one version in all workspaces.
    """

    def __init__(
        self,
        folder: Path | None = None,
        exclusive: Callable[[], AbstractContextManager[object]] = nullcontext,
        *,
        below: Path | None = None,
        beside: Callable[[], Iterable[Path]] = tuple,
    ) -> None:
        self.folder = folder or SHIPPED
        self._folders = (self.folder,) if below is None else (self.folder, below)
        self._beside = beside
        self._exclusive = exclusive  # keeps other machines from writing meanwhile
        self._read: dict[Path, tuple[int, PromptVersion]] = {}

    def get_of(self, name: str, label: str) -> PromptVersion:
        """Return a version of this prompt; raises PromptError when the label is another prompt's."""
        version = self.get(label)
        if version.name != name:
            labels = ", ".join(sibling.label for sibling in self.versions() if sibling.name == name)
            raise PromptError(f"{label!r} is no version of the prompt {name!r}; known: {labels}")
        return version

    def get(self, label: str) -> PromptVersion:
        """Return a version such as "answer@v2"; raises PromptError naming the ones that exist."""
        match = _NAME.match(label)
        path = self._path(match.group(1), match.group(2)) if match else None
        try:
            stamp = None if path is None else self.stamp(path)
            if path is None or stamp is None:
                labels = ", ".join(version.label for version in self.versions()) or "none"
                raise PromptError(f"there is no prompt {label!r}; known: {labels}")
            if path not in self._read or self._read[path][0] != stamp:
                self._read[path] = stamp, self._checked(parse(path))
        except OSError as error:
            if path not in self._read:
                raise PromptError(f"{label} cannot be read: {error.strerror}") from None
            log.warning("%s cannot be read, what was read before goes on: %s", label, error.strerror)
        return self._read[path][1]

    def _path(self, name: str, number: str) -> Path:
        """Return where the version is; where it would be when there is none."""
        paths = [folder / name / f"v{number}.md" for folder in self._folders]
        return next((path for path in paths if path.exists()), paths[0])

    def stamp(self, path: Path) -> int | None:
        """Return when the file was last changed; None when there is no such file."""
        try:
            return os.stat(path).st_mtime_ns  # noqa: PTH116 - twice as fast as Path.stat, and asked by each turn
        except FileNotFoundError:
            return None

    def versions(self) -> list[PromptVersion]:
        """Return every readable version, by name and number."""
        paths = {
            (path.parent.name, _number(path)): path
            for folder in reversed(self._folders)  # the first folder's file hides the second's
            for path in folder.glob("*/v*.md")
            if path.stem[1:].isdigit()
        }
        return [parse(paths[key]) for key in sorted(paths)]

    def released(self) -> dict[str, str]:
        """Return label -> fingerprint of every released version."""
        released: dict[str, str] = {}
        for folder in reversed(self._folders):
            path = folder / "released.toml"
            if path.is_file():
                released |= tomllib.loads(path.read_text("utf-8"))
        return released

    def new(self, name: str, source: PromptVersion, text: str | None = None) -> Path:
        """Write the next version of `name`, `text` or a copy of `source`; return its path.

        Raises PromptError when the text is no prompt, or is that of a version there is already.
        """
        with self._exclusive():
            return self._add(name, source, text)

    def _add(self, name: str, source: PromptVersion, text: str | None) -> Path:
        siblings = [version for version in self.versions() if version.name == name]
        numbers = [version.version for version in siblings]
        numbers += [_number(path) for folder in self._beside() for path in folder.glob(f"{name}/v*.md")]
        path = self.folder / name / f"v{max(numbers, default=0) + 1}.md"
        if text is not None:
            parsed = read(text, path)
            if parsed.placeholders != source.placeholders:
                names = ", ".join(source.placeholders)
                raise PromptError(f"{name} is filled with these placeholders, use each of them: {names}")
            same = [version.label for version in siblings if version.fingerprint == parsed.fingerprint]
            if same:
                raise PromptError(f"this is {same[0]} unchanged")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(source.text if text is None else text)
        return path

    def release(self, version: PromptVersion) -> bool:
        """List a version as released, so that its file may not change; False in a read-only folder."""
        if version.label in self.released():
            return True
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._exclusive(), (self.folder / "released.toml").open("a", encoding="utf-8") as file:
                file.write(f'"{version.label}" = "{version.fingerprint}"\n')
        except OSError:
            return False
        return True

    def _checked(self, version: PromptVersion) -> PromptVersion:
        expected = self.released().get(version.label)
        if expected is not None and expected != version.fingerprint:
            raise PromptError(
                f"{version.label} was released as {expected} but its file is now {version.fingerprint}; "
                f"restore the file, or make your change a new version (answerdeck prompts new {version.name})"
            )
        return version


def name_of(label: str) -> str:
    """Return the prompt of a label: "answer" of "answer@v2"."""
    return label.partition("@")[0]


def parse(path: Path) -> PromptVersion:
    """Read a prompt file; raises PromptError saying what is wrong with it."""
    try:
        return read(path.read_text("utf-8"), path)
    except UnicodeDecodeError as error:
        raise PromptError(f"{path.name} is not UTF-8: {error}") from None


def read(text: str, path: Path) -> PromptVersion:
    """Return the version that a text at this path is; raises PromptError saying what is wrong with it."""
    text = text.replace("\r\n", "\n")
    match = _PARTS.match(text)
    if match is None:
        raise PromptError(f"{path.parent.name}/{path.name} needs a +++ TOML head, '# system' and '# user'")
    try:
        head = tomllib.loads(match.group(1))
    except tomllib.TOMLDecodeError as error:
        raise PromptError(f"{path.parent.name}/{path.name}: the TOML head is broken: {error}") from None
    system, user = match.group(2).strip(), match.group(3).strip()
    declared, used = set(head.get("placeholders", [])), set(_PLACEHOLDER.findall(system + user))
    if declared != used:
        wrong = ", ".join(sorted(declared ^ used))
        raise PromptError(f"{path.parent.name}/{path.name}: placeholders declared and used differ: {wrong}")
    return PromptVersion(
        name=path.parent.name,
        version=_number(path),
        purpose=head.get("purpose", ""),
        placeholders=tuple(sorted(used)),
        system=system,
        user=user,
        fingerprint=hashlib.sha256(text.encode()).hexdigest()[:8],
        text=text,
    )


def _number(path: Path) -> int:
    return int(path.stem[1:]) if path.stem[1:].isdigit() else 0
