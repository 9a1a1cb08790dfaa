"""People's own documents: found beside the others by their owner, by nobody else, and gone when removed."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx2 as httpx
import pytest

from pipeline.configuration.data_folder import DataFolder
from pipeline.context.uploads import Upload
from pipeline.errors import Refused
from pipeline.events import Answer
from pipeline.http.api import create_app
from pipeline.knowledge.beside import OWN
from pipeline.knowledge.documents import Document
from pipeline.models.scripted import Scripted
from pipeline.own_documents import intake
from pipeline.own_documents.intake import ReadingOrder, bring
from pipeline.own_documents.private import private
from pipeline.own_documents.spaces import Bounds, Spaces, space, titled
from pipeline.places import places
from pipeline.settings import load_settings
from pipeline.turn import Pipeline
from tests.pipeline.own import own
from tests.pipeline.served import served
from tests.pipeline.turns import DOCUMENTS, ask, make_pipeline, recorded
from traces.places import DataSubject
from traces.processes import mine

NOTE = "# Zanzibar trip\n\nThe ferry to Zanzibar leaves at 07:40 from pier quillon.\n"
QUESTION = "When does the ferry to Zanzibar leave?"


@asynccontextmanager
async def people(
    bounds: Bounds = Bounds(100_000, 3, 20, 90), documents: Sequence[Document] = DOCUMENTS
) -> AsyncIterator[tuple[Pipeline, Spaces]]:
    model = Scripted("It leaves at 07:40 [1].")
    pipeline = await make_pipeline(model, documents=documents, parts=own(bounds))
    assert pipeline.spaces is not None
    try:
        yield pipeline, pipeline.spaces
    finally:
        await pipeline.close()


async def body(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def add(
    spaces: Spaces, name: str, data: str | bytes, who: str = "ada", where: str = "default"
) -> Upload:
    """Add a file and wait until it is read; return what is listed of it."""
    raw = data.encode() if isinstance(data, str) else data
    upload = await spaces.take(who, where, name, body(raw))
    await spaces.settle()
    return next(row for row in spaces.listed(who, where) if row.upload_id == upload.upload_id)


async def answered(pipeline: Pipeline, who: str = "ada", workspace: str = "default") -> Answer:
    answer, _ = await ask(pipeline, QUESTION, user_id=who, workspace=workspace)
    assert isinstance(answer, Answer)
    return answer


def on_disk(word: bytes) -> list[str]:
    folder = DataFolder(load_settings().data_dir).private
    return [str(path) for path in folder.rglob("*") if path.is_file() and word in path.read_bytes()]


async def test_only_their_owner_finds_them_and_the_answer_says_where_it_is_from() -> None:
    async with people() as (pipeline, spaces):
        upload = await add(spaces, "trip.md", NOTE)
        assert (upload.state, upload.pages, upload.reason) == ("ready", 1, None)
        first = await answered(pipeline)
        assert "quillon" in (first.passages[0].text or "") and first.passages[0].kb == OWN
        assert {passage.kb for passage in first.passages} == {OWN, "default"}  # beside the others
        assert (first.citations[0].kb, first.kb) == (OWN, "default")
        trace = recorded(pipeline, first.turn_id)
        assert trace.passages[0].kb == OWN and trace.turn.workspace == "default"
        assert next(span for span in trace.spans if span.name == "retrieve").attributes["own"] is True
        assert not [span for span in trace.spans if span.kind == "cache"]  # neither taken from it nor kept
        for who, workspace in (("bob", "default"), ("ada", "other")):
            assert "quillon" not in str((await answered(pipeline, who, workspace)).to_dict())


async def test_they_are_searched_alone_where_there_is_nothing_else() -> None:
    async with people(documents=()) as (pipeline, spaces):
        await add(spaces, "trip.md", NOTE)
        answer = await answered(pipeline)
        assert (answer.outcome, answer.kb, answer.citations[0].kb) == ("answered", OWN, OWN)
        assert (await answered(pipeline, "bob")).outcome == "degraded"


async def test_the_same_name_takes_the_place_and_removal_leaves_nothing_on_the_disk() -> None:
    async with people() as (pipeline, spaces):
        await add(spaces, "trip.md", NOTE)
        await add(
            spaces, "list.csv", "id,title,text\n1,Soap,Bring soap from Quedlinburg.\n2,Hat,Bring a hat.\n"
        )
        newer = await add(spaces, "trip.md", NOTE.replace("07:40", "09:15"))
        assert [row.name for row in spaces.listed("ada", "default")] == ["trip.md", "list.csv"]
        text = str((await answered(pipeline)).to_dict()["passages"])
        assert "09:15" in text and "07:40" not in text
        assert await spaces.remove("bob", "default", newer.upload_id) is False
        assert await spaces.remove("ada", "default", newer.upload_id) is True
        text = str((await answered(pipeline)).to_dict()["passages"])
        rest = str(await spaces.knowledge.passages(space("ada", "default")))
        assert "quillon" not in text + rest and "Quedlinburg" in rest
        assert not on_disk(b"quillon")
        [rest] = spaces.listed("ada", "default")
        assert await spaces.remove("ada", "default", rest.upload_id)
        assert spaces.ready("ada", "default") is None and not on_disk(b"Quedlinburg")


def bomb() -> bytes:
    """Return a Word document of some kilobytes that unpacks to 200 MB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", b"<w>" + b" " * 80_000_000)
    return file.getvalue()


async def test_what_cannot_be_read_is_named_calmly_and_leaves_nothing() -> None:
    async with people(Bounds(200_000, 9, 2, 90)) as (_, spaces):
        for name, data, reason in (
            ("cut.pdf", b"%PDF-1.7 and then nothing", "broken"),
            ("bomb.docx", bomb(), "broken"),
            ("fake.txt", bytes(range(256)) * 20, "broken"),
            ("blank.md", b" \n\n", "empty"),
            ("long.txt", b"Words of a long book. " * 500, "long"),
        ):
            upload = await add(spaces, name, data)
            sentence = spaces.sentence(upload)
            assert (upload.state, upload.reason) == ("failed", reason), name
            assert sentence is not None and sentence.startswith(f"{name} cannot be added: ")
        assert spaces.ready("ada", "default") is None
        assert not list((spaces.knowledge.folder / "incoming").iterdir())


async def test_what_is_too_much_is_refused_before_it_is_kept() -> None:
    async with people(Bounds(1000, 1, 20, 90)) as (_, spaces):
        for name, data, code in (
            ("tool.exe", b"x", "upload_kind"),
            ("big.txt", b"x" * 1001, "upload_large"),
            ("none.txt", b"", "upload_empty"),
        ):
            with pytest.raises(Refused) as refused:
                await add(spaces, name, data)
            assert refused.value.code == code
        await add(spaces, "trip.md", NOTE)
        with pytest.raises(Refused, match="You have 1 documents"):
            await add(spaces, "more.md", "More.")
        assert (await add(spaces, "more.md", "More.", who="bob")).state == "ready"
        assert not list((spaces.knowledge.folder / "incoming").iterdir())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\Users\\ada\\plan.pdf", "plan.pdf"),
        ("a\0b\r\n.md", "a b .md"),
        ("invoice\u202etxt.md", "invoicetxt.md"),
        ("é" * 300 + ".docx", "é" * 115 + ".docx"),
        ("..", "document"),
        ("", "document"),
        ("\ud800x.md", "\ufffdx.md"),
    ],
)
def test_a_name_is_data(name: str, shown: str) -> None:
    assert titled(name) == shown


async def test_what_a_killed_run_left_is_never_seen() -> None:
    async with people() as (pipeline, spaces):
        await add(spaces, "list.md", "# Soap\n\nBring soap.\n")
        kb = space("ada", "default")
        half = Document("own/half.csv/1", "Half", "The ferry to Zanzibar is half of quillon.")
        release, spaces.knowledge.release = spaces.knowledge.release, None  # type: ignore[assignment]  # killed here
        with pytest.raises(TypeError):
            await intake.store([half], kb, spaces.knowledge)
        spaces.knowledge.release = release  # type: ignore[method-assign]
        assert "quillon" not in str((await answered(pipeline)).to_dict())
        await add(spaces, "hat.md", "# Hat\n\nBring a hat to Zanzibar.\n")
        text = str((await answered(pipeline)).to_dict())
        assert "Bring a hat" in text and "quillon" not in text


async def test_a_new_server_names_what_the_old_one_did_not_finish() -> None:
    async with people() as (pipeline, spaces):
        upload = await add(spaces, "trip.md", NOTE)
        dead = json.dumps(asdict(replace(mine(), born="1")))
        stopped = replace(upload, upload_id="0", name="late.md", state="reading", process=dead)
        old = replace(upload, upload_id="1", name="old.md", added_at="2020-01-01T00:00:00+00:00")
        for row in (stopped, old):
            assert pipeline.memory.uploads.begin(row, 9)
        await spaces.tidy()
        states = {row.name: (row.state, row.reason) for row in spaces.listed("ada", "default")}
        assert states == {"trip.md": ("ready", None), "late.md": ("failed", "stopped")}
        assert "quillon" in str((await answered(pipeline)).to_dict())


async def test_erasing_a_person_takes_the_documents_of_every_workspace() -> None:
    async with people() as (pipeline, spaces):
        await add(spaces, "trip.md", NOTE)
        await add(spaces, "trip.md", NOTE, where="other")
        await add(spaces, "trip.md", NOTE.replace("quillon", "bobbin"), who="bob")
        person = DataSubject("ada", erased_at=datetime.now(UTC).isoformat())
        every = places(load_settings().data_dir)
        assert any(place.left(person) for place in every)
        for place in every:
            place.erase(person)
        assert not any(place.left(person) for place in every)
        assert not on_disk(b"quillon") and on_disk(b"bobbin")
        assert spaces.ready("ada", "default") is None
        assert "quillon" not in str((await answered(pipeline)).to_dict())


async def test_the_api_takes_lists_and_removes_them() -> None:
    async with people() as (pipeline, spaces):
        app = create_app(pipeline, load_settings(chat={"uploads": "private", "upload_bytes": 100_000}))
        async with served(app) as address, httpx.AsyncClient(base_url=address, timeout=60) as http:
            sent = await http.post("/api/documents", params={"name": "trip.md"}, content=NOTE)
            assert (sent.status_code, sent.json()["name"]) == (202, "trip.md")
            await spaces.settle()
            german = {"accept-language": "de"}
            listed = (await http.get("/api/documents")).json()
            assert [(row["name"], row["state"]) for row in listed["documents"]] == [("trip.md", "ready")]
            wrong = await http.post("/api/documents?name=a.exe", content=b"x", headers=german)
            assert (wrong.status_code, wrong.json()["error"]["code"]) == (415, "upload_kind")
            assert wrong.json()["error"]["message"].startswith("a.exe kann nicht hinzugefügt werden")
            large = await http.post("/api/documents?name=a.txt", content=b"x" * 1_100_000)
            assert large.status_code == 413
            foreign = {"origin": "https://evil.example"}
            assert (
                await http.post("/api/documents?name=a.md", content=NOTE, headers=foreign)
            ).status_code == 403
            gone = await http.delete(f"/api/documents/{sent.json()['document_id']}")
            assert gone.json()["deleted"] and (await http.delete("/api/documents/x")).status_code == 404
            assert (await http.get("/api/documents")).json()["documents"] == []


async def test_where_nobody_may_add_any_that_is_said() -> None:
    pipeline = await make_pipeline(Scripted("No."), documents=())
    async with (
        served(create_app(pipeline, load_settings())) as address,
        httpx.AsyncClient(base_url=address) as http,
    ):
        refused = await http.post("/api/documents?name=a.md", content=NOTE)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "no_uploads")


@pytest.mark.slow
async def test_a_file_is_read_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "document.md"
    path.write_text(NOTE)
    order = ReadingOrder(space("ada", "default"), str(path), "trip.md", 10)
    result = await intake.outside(order, load_settings().data_dir)
    assert (result.pages, result.reason) == (1, None)
    knowledge = private(load_settings())
    assert (await bring(order, knowledge)).pages == 1
    assert (await knowledge.open(order.kb)).chunks == 1
