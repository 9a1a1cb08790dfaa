"""What a tab is asked from: the list of knowledge bases, and the documents its reader brought."""

from __future__ import annotations

import httpx2 as httpx
from fastapi import FastAPI

from console.chat import edge, own
from console.chat.archive import Archive
from console.chat.brand import brand
from console.chat.choice import KEPT, Choice
from console.chat.exchange import recorded
from console.chat.reader import Reader
from console.chat.sources import panel
from console.chat.talk import Talk
from console.chat.why import why
from pipeline.knowledge.ingest import store
from pipeline.models.scripted import Scripted
from pipeline.settings import load_settings
from tests.pipeline.own import own as parts
from tests.pipeline.served import served
from tests.pipeline.turns import DOCUMENTS, make_pipeline

ADA = Reader("ada", "tab-1")


async def test_the_choice_is_the_tabs_then_the_conversations() -> None:
    pipeline = await make_pipeline(Scripted("It sleeps [1]."))
    talk = Talk(pipeline)
    await talk.choice.look(ADA)
    assert (await talk.choice.drawn(ADA, "")).strip() == ""  # one knowledge base: nothing to choose
    await store(DOCUMENTS[1:2], "lids", pipeline.knowledge)
    await store(DOCUMENTS[2:], "secret", pipeline.knowledge)
    pipeline.workspaces.add("sales", "test")
    pipeline.workspaces.give("sales", "secret", "test")
    await talk.choice.look(ADA)
    drawn = await talk.choice.drawn(ADA, "")
    assert '<option value="default" selected>' in drawn and "secret" not in drawn
    talk.choice.choose(ADA, "secret")  # what a browser claims is not believed
    assert talk.choice.kb(ADA) is None
    talk.choice.choose(ADA, "lids")
    views = [view async for view in talk.ask(ADA, "", "What does the lid do?")]
    conversation = views[-1].conversation or ""
    assert '<option value="lids" selected>' in (
        (await talk.open(Reader("ada", "tab-2"), conversation)).choice or ""
    )
    assert '<option value="default" selected>' in (
        (await talk.open(ADA, "")).choice or ""
    )  # a new conversation
    eva = Reader("eva", "t", workspace="sales")
    talk.examples = ("Titles of default?",)
    assert "Titles of" in ((await talk.open(ADA, "")).past or "") and "Titles of" not in (
        (await talk.open(eva, "")).past or ""
    )
    await talk.choice.look(eva)
    assert (await talk.choice.drawn(eva, "")).strip() == ""
    for n in range(KEPT + 1):
        talk.choice._bases["default"] = ["lids"]
        talk.choice.choose(Reader("ada", f"t{n}"), "lids")
    assert len(talk.choice._chosen) == KEPT
    await pipeline.close()


async def test_documents_are_listed_named_in_answers_and_removed() -> None:
    pipeline = await make_pipeline(Scripted("It leaves at 07:40 [1]."), parts=parts())
    assert pipeline.spaces is not None
    app = FastAPI()
    own.serve(app, pipeline.spaces, brand(load_settings().chat))
    app.add_middleware(edge.Edge)
    async with served(app) as address, httpx.AsyncClient(base_url=address, timeout=30) as http:
        mine = {"cookie": f"{edge.COOKIE}={'a' * 22}", "accept-language": "fr"}
        note = "# Ferry\n\nThe ferry to Zanzibar leaves at 07:40."
        sent = await http.post("/documents", params={"name": "trip.md"}, content=note, headers=mine)
        assert sent.status_code == 202
        await pipeline.spaces.settle()
        wrong = await http.post("/documents", params={"name": "x.exe"}, content=b"x", headers=mine)
        assert "ne peut pas être ajouté" in wrong.json()["error"]["message"]
        names = [row["name"] for row in (await http.get("/documents", headers=mine)).json()["documents"]]
        other = {"cookie": f"{edge.COOKIE}={'b' * 22}"}
        assert (
            names == ["trip.md"] and (await http.get("/documents", headers=other)).json()["documents"] == []
        )
    guest = edge._guest("a" * 22, "")
    reader, choice = Reader(guest, "t", tongue="de"), Choice(pipeline, Archive(pipeline.memory))
    drawn = await choice.drawn(reader, "")
    assert "Ihre Dokumente (1)" in " ".join(drawn.split()) and "1 Seite" in drawn
    talk = Talk(pipeline)
    views = [view async for view in talk.ask(reader, "", "When does the ferry to Zanzibar leave?")]
    turn = (pipeline.memory.conversation(guest, views[-1].conversation or "") or [])[0]
    shown = panel(recorded(turn), "de", why(recorded(turn), "de", staff=False, remembered=set()))
    assert 'class="place base">Ihre Dokumente' in shown and "(default, Ihre Dokumente)" in shown
    [upload] = pipeline.spaces.listed(guest, "default")
    await choice.discard(reader, upload.upload_id)
    assert "trip.md" not in await choice.drawn(reader, "")
    await pipeline.close()
