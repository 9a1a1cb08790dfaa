"""The learned-sparse voice: what passages are about, how that is stored and searched, when it is silent."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from pipeline.context.fusion import Weights, fuse
from pipeline.context.retrieval import Retriever
from pipeline.knowledge import expansion, weights_file
from pipeline.knowledge.beside import Beside
from pipeline.knowledge.documents import Document
from pipeline.knowledge.expansion import STORED, Expander, packed
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import store
from pipeline.knowledge.pieces import Pieces
from pipeline.knowledge.shelf import EXPANSION, Scores, Shelf
from pipeline.knowledge.weights_file import WeightsError
from tests.factories import make_turn
from tests.fake_embedder import WordEmbedder
from traces.recorder import Collected, Recorder

CAR = Document("car", "Parking", "The car stands in the yard at night.")
PAGES = [
    CAR,
    Document("bread", "Baking", "Bread needs flour, water and time."),
    Document("tea", "Brewing", "Tea is ready after three minutes."),
]


class Synonyms(Expander):
    """Knows that a car is a vehicle."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    @property
    def trouble(self) -> str | None:
        return None

    def expand(self, texts: Sequence[str]) -> list[bytes]:
        self.texts += texts
        return [about(f"{text} vehicle" if "car" in text else text) for text in texts]


class Absent(Expander):
    @property
    def trouble(self) -> str | None:
        return "no model here"


def about(text: str) -> bytes:
    numbers = np.array(expansion.asked(text), np.int64)
    return packed(numbers, np.ones(len(numbers), np.float32))


def knowledge(folder: Path, expander: Expander | None, memory_chunks: int = 100) -> Knowledge:
    return Knowledge(
        folder / "data" / "knowledge", WordEmbedder(), memory_chunks=memory_chunks, expander=expander
    )


async def sparse(bases: Knowledge) -> str:
    return (await bases.status("kb")).sparse or ""


async def reached(bases: Knowledge, question: str = "vehicle") -> list[str]:
    shelf = await bases.open("kb")
    return await about_it(shelf, question)


async def about_it(shelf: Shelf, question: str = "vehicle") -> list[str]:
    scores = await shelf.by_pieces(question)
    return [row.document_id for row in await shelf.rows(scores.keys[scores.values > 0].tolist())]


def test_a_text_is_reached_by_a_word_it_does_not_have() -> None:
    index = Pieces.of(Synonyms().expand([page.text for page in PAGES]))
    assert index is not None
    assert (index.scores("Where is the vehicle?") > 0).tolist() == [True, False, False]
    assert not any(index.scores(query).any() for query in ("", "the of and", "?!", "zebra"))


def test_a_piece_of_fewer_texts_counts_more_and_a_repeated_one_once() -> None:
    index = Pieces.of([about("red car"), about("red tea"), about("red bread")])
    assert index is not None
    scores = index.scores("red tea")
    assert int(scores.argmax()) == 1 and scores[0] == scores[2] > 0
    assert (index.scores("red red red tea") == scores).all()


def test_no_index_is_made_where_a_passage_has_no_expansion() -> None:
    assert Pieces.of([]) is None and Pieces.of([about("red"), None]) is None
    assert Pieces.of([about("red"), b""]) is not None


def test_the_heaviest_pieces_are_stored() -> None:
    numbers, values = np.arange(1_000, 1_300), np.linspace(0.001, 5.0, 300, dtype=np.float32)
    rows = np.frombuffer(packed(numbers, values), STORED)
    assert len(rows) == expansion.LARGEST and rows["piece"][0] == 1_299
    assert rows["weight"][0] == 255 and (np.diff(rows["weight"].astype(int)) <= 0).all()
    assert np.frombuffer(packed(numbers[:1], values[:1]), STORED)["weight"] == [1]


def test_the_third_voice_is_added_to_the_sum() -> None:
    keys = np.arange(3)
    cosines = Scores(keys, np.array([0.3, 0.2, 0.1], np.float32), keys, 0.2, 0.1)
    none, pieces = Scores.none(), Scores(keys, np.array([0, 0, 4], np.float32), keys, 1.0, 1.5)
    two, three = fuse(cosines, none, Weights()), fuse(cosines, none, Weights(), pieces)
    assert three.fused - two.fused == pytest.approx(0.4 * np.array([-1, -1, 3]) / 1.5)
    texts = Scores(keys[:1], np.array([2.0], np.float32), keys[:1], 1.0, 1.0)
    bare, heard = fuse(none, texts, Weights()), fuse(none, texts, Weights(), pieces)
    assert heard.keys.tolist() == [0] and heard.fused - bare.fused == pytest.approx(-0.4 / 1.5)


async def test_what_passages_are_about_is_stored_with_them(tmp_path: Path) -> None:
    bases = knowledge(tmp_path, Synonyms())
    await store(PAGES, "kb", bases)
    assert await reached(bases) == ["car"]
    assert (await sparse(bases)).startswith("heard")
    scores: list[float] = []
    for weights in (Weights(), Weights(sparse=0.0)):
        recorder = Recorder(make_turn(), Collected())
        with recorder.span("retrieve", "retrieval"):
            result = await Retriever(bases, weights=weights).retrieve("vehicle", "kb", recorder)
        fused = next(span for span in recorder.close().spans if span.name == "fuse")
        assert fused.attributes["sparse"] is (weights.sparse > 0)
        scores += [c.passage.fused_score or 0 for c in result.candidates if c.passage.document_id == "car"]
    assert scores[0] > scores[1] + 0.1
    assert (await sparse(knowledge(tmp_path, None))).startswith("off")


async def test_a_search_that_was_ingested_before_gets_its_voice_by_the_next_ingestion(tmp_path: Path) -> None:
    bases = knowledge(tmp_path, None)
    first = await store(PAGES, "kb", bases)
    await (await bases.table("kb")).drop_columns([EXPANSION])
    await bases.release("kb")
    old = knowledge(tmp_path, Absent())
    assert await reached(old) == [] and not (await old.open("kb")).expanded
    assert await sparse(old) == "silent: 3 of 3 chunks lack word pieces; no model here"
    assert (await store(PAGES, "kb", old)).version is None
    new = knowledge(tmp_path, Synonyms())
    assert (await sparse(new)).endswith("run the ingestion again")
    again = await store(PAGES, "kb", new)
    assert (again.unchanged, again.version) == (3, first.version)  # the label of the same contents
    assert await reached(new) == ["car"] and (await sparse(new)).startswith("heard")
    assert (await store(PAGES, "kb", new)).version is None
    assert len(await new.history("kb")) == 1


async def test_passages_that_came_without_the_model_silence_the_voice_until_they_have_theirs(
    tmp_path: Path,
) -> None:
    await store(PAGES[:2], "kb", knowledge(tmp_path, Synonyms()))
    partly = knowledge(tmp_path, Absent())
    await store(PAGES, "kb", partly)
    assert not (await partly.open("kb")).expanded
    assert (await sparse(partly)).startswith("silent: 1 of 3 chunks")
    expander = Synonyms()
    whole = knowledge(tmp_path, expander)
    table = await whole.table("kb")
    await table.update({"title": "Brewing"}, where="document_id = 'tea'")  # an ingestion that was killed
    await store(PAGES, "kb", whole)
    assert await reached(whole) == ["car"]
    assert expander.texts == ["Brewing\nTea is ready after three minutes."]


async def test_versions_carry_what_their_passages_are_about(tmp_path: Path) -> None:
    bases = knowledge(tmp_path, Synonyms())
    first = (await store(PAGES, "kb", bases)).version or ""
    await store([Document("car", "Parking", "The bike stands in the yard."), *PAGES[1:]], "kb", bases)
    assert await reached(bases) == []
    await bases.restore("kb", ["car"], first)
    assert await reached(bases) == ["car"]
    await bases.forget("kb", ["car"])
    assert await reached(bases) == []
    await bases.rollback("kb", first)
    assert await reached(bases) == ["car"]


async def test_a_large_knowledge_base_is_neither_expanded_nor_asked(tmp_path: Path) -> None:
    expander = Synonyms()
    bases = knowledge(tmp_path, expander, memory_chunks=2)
    await store(PAGES, "kb", bases)
    assert not (await bases.open("kb")).expanded and expander.texts == []
    assert await reached(bases) == []
    assert (await sparse(bases)).startswith("silent: a knowledge base of this size")
    await store(PAGES[:2], "kb", bases, prune=True)
    assert await reached(bases) == ["car"]


async def test_own_documents_are_heard_when_both_have_expansions(tmp_path: Path) -> None:
    own, base = knowledge(tmp_path / "own", Synonyms()), knowledge(tmp_path / "base", Synonyms())
    mute = knowledge(tmp_path / "mute", None)
    await store([Document("van", "Van", "My car is a van.")], "kb", own)
    for bases in (base, mute):
        await store(PAGES, "kb", bases)
    both = Beside(await base.open("kb"), await own.open("kb"))
    assert sorted(await about_it(both)) == ["car", "van"]
    assert await about_it(Beside(None, await own.open("kb"))) == ["van"]
    partly = Beside(await mute.open("kb"), await own.open("kb"))
    assert not partly.expanded and await about_it(partly) == []


def test_a_missing_or_exchanged_file_is_said_and_raises_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere:
        def locate_file(self, name: str) -> Path:
            return tmp_path / "model"

    def nothing(name: str) -> None:
        raise PackageNotFoundError(name)

    expansion._weights.cache_clear()
    monkeypatch.setattr(weights_file, "distribution", nothing)
    assert "not installed" in (Expander().trouble or "")
    monkeypatch.setattr(weights_file, "distribution", lambda name: Elsewhere())
    assert "has no model" in (Expander().trouble or "")
    (tmp_path / "model").write_bytes(b"another model")
    assert "another than ours" in (Expander().trouble or "")
    with pytest.raises(WeightsError):
        Expander().expand(["a text"])
    expansion._weights.cache_clear()


def test_the_model_knows_words_that_a_text_does_not_have() -> None:
    if (trouble := Expander().trouble) is not None:
        pytest.skip(trouble)
    texts = ["To change the wallpaper of the desktop, right-click it.", CAR.text, ""]
    index = Pieces.of(Expander().expand(texts))
    assert index is not None
    places = [np.flatnonzero(index.scores(word)).tolist() for word in ("computer", "engine", "zebra")]
    assert places == [[0], [1], []]
