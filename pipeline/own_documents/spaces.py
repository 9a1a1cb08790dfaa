"""People's own documents: files are taken in, read aside, listed, removed, and forgotten in time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import shutil
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline import notices
from pipeline.context.memory import Memory
from pipeline.context.uploads import State, Upload
from pipeline.errors import AnswerdeckError, Refused
from pipeline.knowledge.documents import clean
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.reading.files import FILE_KINDS
from pipeline.own_documents.intake import Brought, ReadingOrder, take_out
from traces.ids import uuid7
from traces.processes import Process, gone, mine

log = logging.getLogger(__name__)
LONGEST_NAME = 120  # characters
INCOMING = "incoming"
LOOK_SECONDS = 3600.0  # between two looks for what has grown old
SENTENCES = {  # why a file is not among the documents
    "kind": notices.UPLOAD_KIND,
    "large": notices.UPLOAD_LARGE,
    "many": notices.UPLOAD_MANY,
    "long": notices.UPLOAD_LONG,
    "locked": notices.UPLOAD_LOCKED,
    "empty": notices.UPLOAD_EMPTY,
    "broken": notices.UPLOAD_BROKEN,
    "stopped": notices.UPLOAD_STOPPED,
    "failed": notices.UPLOAD_FAILED,
}
_STATUSES = {"kind": 415, "large": 413, "many": 409}
Bring = Callable[[ReadingOrder], Awaitable[Brought]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one person may bring; files are forgotten after so many days."""

    bytes: int  # of one file
    files: int
    pages: int  # of 3,000 characters, of all files together
    days: int


class Spaces:
    """Everybody's own documents, each person's apart. Raises Refused with a calm sentence."""

    def __init__(self, memory: Memory, knowledge: Knowledge, bounds: Bounds, bring: Bring) -> None:
        self.bounds = bounds
        self._memory = memory
        self.knowledge = knowledge
        self._bring = bring
        self._place = knowledge.folder / INCOMING
        self._turns = asyncio.Semaphore(1)  # one file at a time is read
        self._work: set[asyncio.Task[None]] = set()

    def ready(self, user_id: str, workspace: str) -> str | None:
        """Return the name under which the person's documents are searched; None while there are none."""
        name = space(user_id, workspace)
        return name if self.knowledge.exists(name) else None

    def listed(self, user_id: str, workspace: str) -> list[Upload]:
        """Return the person's files, the newest first."""
        return self._memory.within(workspace).uploads.list(user_id)

    def sentence(self, upload: Upload) -> str | None:
        """Say why a file failed; None when it did not."""
        return None if upload.reason is None else self._sentence(upload.reason, upload.name)

    async def take(self, user_id: str, workspace: str, name: str, body: AsyncIterable[bytes]) -> Upload:
        """Take a file in; it is read afterwards, see its `state`. Nothing stays of one that is refused."""
        name = titled(name)
        if Path(name).suffix.lower() not in FILE_KINDS.split():
            raise self._refused("kind", name)
        if self._full(user_id, workspace):
            raise self._refused("many", name)
        upload_id = uuid7()
        place = self._place / f"{space(user_id, workspace)}.{upload_id}"
        try:
            path = place / f"document{Path(name).suffix.lower()}"
            size = await self._receive(path, name, body)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            who = json.dumps(asdict(mine()))
            upload = Upload(upload_id, user_id, workspace, name, size, None, "waiting", None, now, who)
            if not self._memory.within(workspace).uploads.begin(upload, self.bounds.files):
                raise self._refused("many", name)
        except BaseException:  # nothing stays, and it is passed on
            shutil.rmtree(place, ignore_errors=True)
            raise
        self._replace(upload, "failed")
        self._begin(self._read(upload, path))
        return upload

    async def remove(self, user_id: str, workspace: str, upload_id: str) -> bool:
        """Remove one of the person's files with all it brought; False when there is no such one."""
        upload = self._memory.within(workspace).uploads.delete(user_id, upload_id)
        if upload is None:
            return False
        if upload.state == "ready":
            await self._take_out(upload)
        return True

    async def look_after(self) -> None:
        """Tidy up now and every hour, for as long as the server runs."""
        while True:
            try:
                await self.tidy()
            except AnswerdeckError as error:
                log.warning("people's own documents cannot be looked after now: %s", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def tidy(self) -> None:
        """Clear up what a killed server left, and forget what is old."""
        await self._recover()
        await self._expire()

    async def settle(self) -> None:
        """Wait until all files that came are read."""
        while self._work:
            await asyncio.gather(*self._work)

    async def close(self) -> None:
        """End what is under way; its files are named as not added when the next server starts."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    async def _receive(self, path: Path, name: str, body: AsyncIterable[bytes]) -> int:
        path.parent.mkdir(parents=True, mode=0o700)
        size = 0
        with path.open("xb") as file:
            async for piece in body:
                size += len(piece)
                if size > self.bounds.bytes:
                    raise self._refused("large", name)
                file.write(piece)
        if not size:
            raise self._refused("empty", name)
        return size

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _read(self, upload: Upload, path: Path) -> None:
        """Read a file that came, when it is its turn, and note what became of it."""
        uploads = self._memory.within(upload.workspace).uploads
        try:
            async with self._turns:
                uploads.change(upload.upload_id, "reading")
                others = self.listed(upload.user_id, upload.workspace)
                used = sum(other.pages or 0 for other in others if other.name != upload.name)
                kb = space(upload.user_id, upload.workspace)
                result = await self._bring(ReadingOrder(kb, str(path), upload.name, self.bounds.pages - used))
                await self._note(upload, result)
        except Exception:  # the boundary of a file: its person reads one calm sentence, the log the rest
            log.exception("a file could not be brought in")
            uploads.change(upload.upload_id, "failed", reason="failed")
        finally:
            shutil.rmtree(path.parent, ignore_errors=True)

    async def _note(self, upload: Upload, result: Brought) -> None:
        uploads = self._memory.within(upload.workspace).uploads
        if result.reason is not None:
            uploads.change(upload.upload_id, "failed", reason=result.reason)
        elif not uploads.change(upload.upload_id, "ready", pages=result.pages):
            await self._take_out(upload)  # removed while it was read
        else:
            self._replace(upload, "ready")

    def _replace(self, upload: Upload, state: State) -> None:
        """Take earlier files of the same name, of one state, off the list."""
        for other in self.listed(upload.user_id, upload.workspace):
            if (other.name, other.state) == (upload.name, state) and other.upload_id < upload.upload_id:
                self._memory.within(upload.workspace).uploads.delete(upload.user_id, other.upload_id)

    async def _take_out(self, upload: Upload) -> None:
        await take_out(upload.name, space(upload.user_id, upload.workspace), self.knowledge)

    async def _recover(self) -> None:
        """Name the files as not added that a server read which is gone, and take out what it left."""
        for upload in self._memory.uploads.unfinished():
            if not gone(Process.read(json.loads(upload.process))):
                continue
            others = self.listed(upload.user_id, upload.workspace)
            if not any(other.name == upload.name and other.state == "ready" for other in others):
                await self._take_out(upload)
            uploads = self._memory.within(upload.workspace).uploads
            uploads.change(upload.upload_id, "failed", reason="stopped")
            place = self._place / f"{space(upload.user_id, upload.workspace)}.{upload.upload_id}"
            shutil.rmtree(place, ignore_errors=True)
        self._sweep()

    def _sweep(self) -> None:
        """Delete files that stopped coming: their transfer is older than any can last."""
        before = (datetime.now(UTC) - timedelta(seconds=LOOK_SECONDS)).timestamp()
        unfinished = {upload.upload_id for upload in self._memory.uploads.unfinished()}
        for place in self._place.glob("*"):
            if place.suffix[1:] not in unfinished and place.stat().st_mtime < before:
                shutil.rmtree(place, ignore_errors=True)

    async def _expire(self) -> None:
        before = datetime.now(UTC) - timedelta(days=self.bounds.days)
        for upload in self._memory.uploads.older(before.isoformat(timespec="seconds")):
            await self.remove(upload.user_id, upload.workspace, upload.upload_id)

    def _full(self, user_id: str, workspace: str) -> bool:
        ready = [upload for upload in self.listed(user_id, workspace) if upload.state == "ready"]
        coming = list(self._place.glob(f"{space(user_id, workspace)}.*"))  # those on their way, too
        return len(ready) + len(coming) >= self.bounds.files

    def _sentence(self, reason: str, name: str) -> str:
        bounds = self.bounds
        return SENTENCES[reason].format(
            name=name, megabytes=max(bounds.bytes // 1_000_000, 1), files=bounds.files, pages=bounds.pages
        )

    def _refused(self, reason: str, name: str) -> Refused:
        sentence = self._sentence(reason, name)
        return Refused(f"upload_{reason}", sentence, status=_STATUSES.get(reason, 422), param="name")


def space(user_id: str, workspace: str) -> str:
    """Return the name under which a person's own documents lie; it gives nobody's name away."""
    return f"{owner(user_id)}-{workspace}"


def owner(user_id: str) -> str:
    """Return the beginning of that name, the same in every workspace."""
    return hashlib.sha256(user_id.encode("utf-8", "replace")).hexdigest()[:24]


def titled(name: str) -> str:
    """Return a file's name as it is shown and kept: its last part, without what is not seen, not too long."""
    name = " ".join(re.split(r"[/\\]", clean(name))[-1].split()).strip(". ")
    path = Path(name or "document")
    room = LONGEST_NAME - len(path.suffix[:12])
    return path.stem[:room] + path.suffix[:12]
