"""Retrieval: how often it finds something, how near, where passages are lost, caches and index versions."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import streamlit as st

from console import format
from console.dashboard import clock, data, filters, intervals, markup, notices, whose
from console.dashboard.views import standings
from traces.queries import caches, searches
from traces.queries.caches import CacheUse
from traces.queries.searches import VersionSearches

STAGES = {
    "cited": "cited in the answer",
    "unused": "in the prompt, not used",
    "budget or rank": "ranked or cut out of the prompt",
    "nothing near": "under the floor",
}


@dataclass(frozen=True, slots=True)
class RangeSearches:
    """All that the page shows of a range."""

    hit_rate: float | None
    scores: list[int]
    stages: dict[str, dict[str, int]]
    cache: CacheUse
    answers: CacheUse
    versions: list[VersionSearches]


def page() -> None:
    """Draw what retrieval did in a range."""
    door, range_name = filters.head("Retrieval", "search_via", "search_range", "7d")
    with notices.problems():
        seen = read(range_name, door)
        if not sum(seen.scores):
            notices.note(
                "Nothing was searched here", "Choose a longer range or other traffic.", key="no-search"
            )
            standings.draw()
            return
        _facts(seen, range_name, door)
        _caches(seen)
        _stages(seen)
        _scores(seen)
        _versions(seen)
        standings.draw()


@whose.cached(ttl=data.FRESH_SECONDS, max_entries=20, show_spinner=False)
def read(range_name: str, door: str) -> RangeSearches:
    """Return what the page shows."""
    window = filters.window(range_name, door)
    with data.ledger() as opened:
        return RangeSearches(
            searches.hit_rate(opened, window),
            searches.scores(opened, window),
            searches.stages(opened, window),
            caches.served(opened, window.since, window.until),
            caches.served(opened, window.since, window.until, "answer cache"),
            searches.versions(opened, window),
        )


def _facts(seen: RangeSearches, range_name: str, door: str) -> None:
    cache = seen.cache
    hits = format.share(cache.hits / cache.looked) if cache.looked else "—"
    wrong = f"{cache.false} of {cache.checked}" if cache.checked else "—"
    markup.show(
        markup.facts(
            [
                ("Retrieval hit rate", format.share(seen.hit_rate)),
                ("Turns that searched", format.count(sum(seen.scores))),
                ("Semantic cache hits", hits),
                ("Wrong of those checked", wrong),
                ("Time the cache saved", format.seconds(cache.saved_seconds)),
            ]
        ),
        key="search-facts",
    )
    missed = markup.address("turns", missed="true", last=range_name, via=door)
    markup.show(f"<p>{markup.link('the turns that found nothing →', missed)}</p>", key="missed-link")


def _caches(seen: RangeSearches) -> None:
    """Draw what each cache serves and how often it is wrong; nothing where none was asked."""
    named = [("Passages", seen.cache), ("Answers", seen.answers)]
    rows = [
        markup.row(
            [
                markup.cell(name),
                markup.cell(intervals.share(cache.hits, cache.looked), "right"),
                markup.cell(intervals.share(cache.false, cache.checked), "right"),
                markup.cell(format.seconds(cache.saved_seconds), "right"),
                markup.cell(format.usd(cache.saved_usd), "right"),
            ]
        )
        for name, cache in named
        if cache.looked
    ]
    if not rows:
        return
    st.header("What the caches serve", anchor=False)
    heads = ["Cache", "Hits ", "Wrong of those checked ", "Time saved ", "Money saved "]
    markup.show(markup.table(heads, rows), key="caches")
    st.caption("A share of the hits is searched or answered afresh and compared (cache.checked).")


def _stages(seen: RangeSearches) -> None:
    st.header("Where the best passage went", anchor=False)
    heads = ["Stage", "Best by meaning ", "Best by words "]
    totals = {name: sum(counts.values()) for name, counts in seen.stages.items()}
    rows = [
        markup.row(
            [
                markup.cell(escape(title)),
                *(markup.cell(intervals.share(seen.stages[name].get(stage, 0), totals[name]), "right")
                  for name in ("vector", "words")),
            ]
        )
        for stage, title in STAGES.items()
    ]  # fmt: skip
    markup.show(markup.table(heads, rows), key="stages")
    st.caption("Of each turn that searched: what became of the passage that each search put first.")


def _scores(seen: RangeSearches) -> None:
    st.header("How near the best passage is", anchor=False)
    most, floor = max(seen.scores), data.settings().retrieval.floor
    step = 1 / searches.BUCKETS
    rows = [
        markup.row(
            [
                markup.cell(f"{at * step:.2f} – {(at + 1) * step:.2f}", "mono"),
                markup.cell(f"{turns:,}", "right"),
                markup.cell(f'<span class="amount" style="--w:{turns / most:.3f}"></span>', "text"),
            ]
        )
        for at, turns in enumerate(seen.scores)
        if turns
    ]
    markup.show(markup.table(["Cosine", "Turns ", "Beside the most"], rows), key="cosines")
    st.caption(f"A passage under the floor of {floor:g} does not count as a hit (retrieval.floor).")


def _versions(seen: RangeSearches) -> None:
    st.header("Index versions", anchor=False)
    rows = [
        markup.row(
            [
                markup.cell(f"<b>{escape(version.kb or '—')}</b>"),
                markup.cell(escape(version.index_version or "—"), "mono"),
                markup.cell(intervals.share(version.hits, version.searched), "right"),
                markup.cell(f"{clock.minute(version.first)} to {clock.minute(version.last)}", "quiet"),
            ],
            markup.address("knowledge", kb=version.kb, show="Versions") if version.kb else None,
        )
        for version in seen.versions
    ]
    markup.show(
        markup.table(["Knowledge base", "Version", "Hit rate ", clock.head("Used")], rows),
        key="index-versions",
    )
