"""A sibling searches otherwise and shares the rest."""

from __future__ import annotations

from pipeline.build import build
from pipeline.events import Answer, Question
from pipeline.knowledge.documents import Document
from pipeline.knowledge.ingest import store
from pipeline.settings import load_settings
from pipeline.sibling import SHARED, close_sibling, sibling
from pipeline.turn import Pipeline


async def placed(pipeline: Pipeline) -> int:
    """Ask, and return how many passages reached the prompt."""
    question = Question("How is the panel opened?", user_id="eval", door="eval", history=())
    events = [event async for event in pipeline.answer(question)]
    assert isinstance(events[-1], Answer) and events[-1].trace is not None
    return sum(passage.n is not None for passage in events[-1].trace.passages)


async def test_a_sibling_searches_otherwise_and_leaves_the_other_open() -> None:
    pipeline = build(load_settings())
    pages = [Document(f"d{n}", f"Panel {n}", f"Open panel {n} and press key {n}.") for n in range(4)]
    await store(pages, "default", pipeline.knowledge)
    narrow = sibling(pipeline, load_settings(retrieval={"passages": 1}))
    assert all(getattr(narrow, name) is getattr(pipeline, name) for name in SHARED)
    assert narrow.registry is pipeline.registry and narrow.spaces is pipeline.spaces
    assert await placed(narrow) == 1
    await close_sibling(narrow)
    assert await placed(pipeline) == 4
    await pipeline.close()
