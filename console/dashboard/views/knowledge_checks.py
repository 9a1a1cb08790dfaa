"""What a knowledge base finds for a question, what in it is suspicious, and how it is set."""

from __future__ import annotations

from dataclasses import asdict
from html import escape

import streamlit as st

from console import format
from console.dashboard import bases, data, downloads, markup, notices
from console.dashboard.bases import KnowledgeBase
from pipeline.context.ranks import PassageRanks

MOST_SUSPECTS = 200


def search(base: KnowledgeBase) -> None:
    question = st.text_input(
        "A question, as users ask it", key="ask", bind="query-params", max_chars=2000, width=640
    ).strip()
    if not question:
        st.caption(
            "Shows each passage's place by full text, by vector, fused and reranked. Nothing is recorded."
        )
        return
    hits = bases.search(base.status.kb, question)
    if not hits:
        notices.note("Nothing found", "No passage shares a word or a meaning with it.", key="no-hits")
        return
    heads = ["# ", "Passage", "Full text ", "Vector ", "Fused ", "Reranked "]
    markup.show(markup.table(heads, [_hit(hit) for hit in hits]), key="hits")
    floor = data.settings().retrieval.floor
    st.caption(
        f"The first {data.settings().retrieval.passages} go to the model; a best vector score under "
        f"{floor:g} counts as not found."
    )
    downloads.button([asdict(hit) for hit in hits], "search-test")


def _hit(hit: PassageRanks) -> str:
    sent = hit.rank <= data.settings().retrieval.passages
    name = f"<b>{escape(hit.title or hit.document_id)}</b>" if sent else escape(hit.title or hit.document_id)
    return markup.row(
        [
            markup.cell(f"{hit.rank}", "right"),
            markup.cell(name + markup.small(escape(hit.text[:240])), "text"),
            markup.cell(_place(hit.text_rank, hit.text_score), "right"),
            markup.cell(_place(hit.vector_rank, hit.vector_score), "right"),
            markup.cell(_place(hit.fused_rank, hit.fused_score), "right"),
            markup.cell(_place(hit.rank, hit.rerank_score), "right"),
        ]
    )


def _place(rank: int | None, score: float | None) -> str:
    if rank is None or score is None:
        return '<span class="quiet">—</span>'
    return f"{rank}" + markup.small(format.score(score))


def suspicious(base: KnowledgeBase) -> None:
    st.caption(
        "Sentences that read as instructions to the assistant. What becomes of them in a turn: "
        f"{data.settings().guardrails.planted} (guardrails.planted)."
    )
    suspects = bases.suspects(base.status.kb, base.status.version or "")
    if not suspects:
        notices.note("Nothing suspicious", "No sentence of this version reads so.", key="no-suspects")
        return
    rows = [
        markup.row(
            [
                markup.cell(format.share(candidate.probability), "right"),
                markup.cell(escape(candidate.text[:400]), "text"),
                markup.cell(escape(candidate.document_id), "text mono quiet"),
            ]
        )
        for candidate in suspects[:MOST_SUSPECTS]
    ]
    markup.show(markup.table(["Sure ", "Sentence", "Document"], rows), key="suspects")
    downloads.button([asdict(candidate) for candidate in suspects], "suspicious")


def settings(base: KnowledgeBase) -> None:
    configured, status = data.settings(), base.status
    retrieval = configured.retrieval
    rows = [
        ("Embedder of this knowledge base", status.embedder),
        ("Embedder configured (embedder)", f"{configured.embedder} · {bases.embedder().fingerprint}"),
        ("Pieces on disk", status.fragments),
        ("Vector search", status.index or "exact, in memory"),
        ("Learned-sparse voice (retrieval.sparse)", status.sparse),
        ("Versions kept readable (knowledge.releases)", configured.knowledge.releases),
        ("Candidates (retrieval.candidates)", retrieval.candidates),
        ("Passages to the model (retrieval.passages)", retrieval.passages),
        ("Weight of full text (retrieval.text_weight)", f"{retrieval.text_weight:g}"),
        ("Least vector score of a hit (retrieval.floor)", f"{retrieval.floor:g}"),
        ("Reranker (retrieval.reranker)", retrieval.reranker),
    ]
    markup.show(markup.pairs(rows), key="settings")
    st.caption("These are set by environment, .env or config.toml; another embedder needs a new ingestion.")
