"""Releases of a knowledge base: a label follows the contents, so that going back gives the old label back.

A tag `v12` marks table version 12. When version 15 holds what 12 held, its tag is `v12.15`: people and
runs see `v12` again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.knowledge import tables
from pipeline.knowledge.identity import Stored
from pipeline.knowledge.standing import Release

if TYPE_CHECKING:
    from lancedb.table import AsyncTable

MARGIN = timedelta(minutes=10)  # versions this much older than the oldest release kept are cleaned


@dataclass(frozen=True, slots=True)
class Tag:
    """A released table version and the label people see."""

    number: int
    label: str
    name: str


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """What is remembered of a released table version, so that it need not be read again."""

    contents: str
    documents: int
    chunks: int


@dataclass(frozen=True, slots=True)
class VersionDifference:
    """The documents by id that two versions do not share."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    same: int


async def tagged(table: AsyncTable) -> list[Tag]:
    """Return the releases, oldest first; the last one is in force."""
    tags = [
        Tag(int(tag["version"]), name.partition(".")[0], name)
        for name, tag in (await table.tags.list()).items()
        if name.startswith("v")
    ]
    return sorted(tags, key=lambda tag: tag.number)


async def keep(table: AsyncTable, at: AsyncTable | None, number: int, file: Path) -> KeptVersion:
    """Return what a version holds, from the file beside the table or by reading it."""
    versions = _load(file)
    if str(number) in versions:
        return versions[str(number)]
    version = at or table
    contents = await tables.contents(version)
    kept_version = KeptVersion(digest(contents), len(contents), await version.count_rows())
    _save(file, {**versions, str(number): kept_version})
    return kept_version


def digest(contents: Mapping[str, str]) -> str:
    """Return the fingerprint of a knowledge base's contents, whatever order they were stored in."""
    pairs = "\n".join(f"{key} {content}" for key, content in sorted(contents.items()))
    return hashlib.blake2b(pairs.encode(), digest_size=16).hexdigest()


def difference(before: Mapping[str, Stored], after: Mapping[str, Stored]) -> VersionDifference:
    """Return which documents came, went and changed from one version to the other."""
    both = before.keys() & after.keys()
    changed = {key for key in both if before[key].content != after[key].content}
    return VersionDifference(
        added=tuple(sorted(after[key].document_id for key in after.keys() - before.keys())),
        removed=tuple(sorted(before[key].document_id for key in before.keys() - after.keys())),
        changed=tuple(sorted(after[key].document_id for key in changed)),
        same=len(both) - len(changed),
    )


async def created(table: AsyncTable) -> dict[int, datetime]:
    """Return when each version was made."""
    # LanceDB gives local time without a zone
    return {
        version["version"]: version["timestamp"].astimezone(UTC) for version in await table.list_versions()
    }


def releases(
    tags: Sequence[Tag], times: Mapping[int, datetime], held: Mapping[int, KeptVersion]
) -> list[Release]:
    """Return one row per label, newest first; the label of the last tag is current."""
    first: dict[str, Tag] = {}
    for tag in tags:
        first.setdefault(tag.label, tag)
    current = tags[-1].label if tags else None
    return [
        Release(
            tag.label,
            times.get(tag.number, datetime.fromtimestamp(0, UTC)),
            held[tag.number].documents,
            held[tag.number].chunks,
            tag.label == current,
        )
        for tag in sorted(first.values(), key=lambda tag: -tag.number)
    ]


async def clean(table: AsyncTable, most: int, *, tended: bool) -> None:
    """Keep the newest releases readable; delete the tags of older ones and all versions before them.

    Who tends tables itself deletes such versions when it likes: it offers nobody else a way to.
    """
    tags = await tagged(table)
    labels = list(dict.fromkeys(tag.label for tag in reversed(tags)))[:most]
    for tag in tags:
        if tag.label not in labels:
            await table.tags.delete(tag.name)
    if tended:
        return
    oldest = min((tag.number for tag in tags if tag.label in labels), default=None)
    times = await created(table)
    if oldest is None or oldest not in times or min(times, default=oldest) >= oldest:
        return
    age = datetime.now(UTC) - times[oldest] + MARGIN
    await table.optimize(cleanup_older_than=age)


def _load(file: Path) -> dict[str, KeptVersion]:
    try:
        return {
            number: KeptVersion(**values) for number, values in json.loads(file.read_text("utf-8")).items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _save(file: Path, versions: Mapping[str, KeptVersion]) -> None:
    part = file.with_suffix(f".{os.getpid()}.part")
    part.write_text(
        json.dumps({number: asdict(kept_version) for number, kept_version in versions.items()}), "utf-8"
    )
    part.replace(file)
