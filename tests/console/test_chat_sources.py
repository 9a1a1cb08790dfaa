"""The source panel: what is cited, what it shows of a passage."""

from __future__ import annotations

from typing import Any

from console.chat import sources
from console.chat.exchange import Exchange
from pipeline.events import public
from tests.console.chat_server import ANSWER, DESCALE, passages


def exchange(answer: str = ANSWER, **fields: Any) -> Exchange:
    found = tuple(public(passage) for passage in passages("t1"))
    values: dict[str, Any] = {"state": "done", "outcome": "answered", "passages": found} | fields
    return Exchange("How?", "t1", answer=answer, **values)


def test_cited_passages_come_first_and_open_the_rest_is_folded() -> None:
    html = str(sources.panel(exchange("The dial sets how long the rinse runs [2].")))
    assert html.index('id="source-2"') < html.index('class="rest"') < html.index('id="source-1"')
    assert '<details class="source cited" id="source-2" data-n="2" open>' in html
    assert '<details class="source" id="source-1" data-n="1">' in html
    assert "1 cited" in html


def test_no_raw_scores_are_shown() -> None:
    assert "0.731" not in str(sources.panel(exchange()))


def test_the_sentence_that_says_it_is_marked() -> None:
    html = str(sources.panel(exchange("The machine needs descaling when the red drop lights up [1].")))
    assert '<mark data-k="0">Descale the machine when the red drop lights up.</mark>' in html


def test_a_marker_after_the_full_stop_belongs_to_the_sentence_before() -> None:
    html = str(sources.panel(exchange("Press Start in the menu. [1]")))
    assert '<mark data-k="0">4. Press Start in the Care menu.</mark>' in html


def test_every_mark_of_a_number_names_its_own_sentence() -> None:
    text = "Hold the Rinse button [1]. Fill the tank with fresh water [1]. Then hold the Rinse button [1]."
    html = str(sources.panel(exchange(text)))
    assert '<mark data-k="0 2">2. Hold the Rinse button for three seconds.</mark>' in html
    assert '<mark data-k="1">5. Fill the tank with fresh water when the pump falls silent.</mark>' in html


def test_a_mark_stands_for_the_unmarked_sentences_before_it_on_its_line() -> None:
    text = "Care:\n1. Hold the Rinse button. Put a bowl under the spout [1].\n2. Press Start in the menu [1]."
    html = str(sources.panel(exchange(text)))
    assert '<mark data-k="0">2. Hold the Rinse button for three seconds.</mark>' in html
    assert '<mark data-k="0">3. Put a bowl under the spout and open the Care menu.</mark>' in html
    assert '<mark data-k="1">4. Press Start in the Care menu.</mark>' in html


def test_a_long_passage_shows_the_part_around_its_evidence_and_unfolds() -> None:
    html = str(sources.panel(exchange("Fill the tank with fresh water [1].")))
    snippet = html[html.index('class="snippet"') : html.index('class="whole"')]
    assert '<mark data-k="0">5. Fill the tank with fresh water when the pump falls silent.</mark>' in snippet
    assert "… " in snippet
    assert len(snippet) < len(DESCALE)
    assert "Lime slows the pump" in html[html.index('class="whole"') :]


def test_evidence_of_nothing_is_nothing() -> None:
    assert sources.evidence("Bread is baked.", "quantum chromodynamics") is None
    assert sources.evidence("", "anything") is None


def test_documents_open_apart_and_only_at_web_addresses() -> None:
    assert 'target="_blank" rel="noopener noreferrer"' in str(sources.panel(exchange()))
    hostile = tuple(public(passage) for passage in passages("t1", hostile=True))
    assert "javascript:" not in str(sources.panel(exchange(passages=hostile)))


def test_nothing_found_looks_different_from_nothing_asked() -> None:
    absent = str(sources.panel(exchange("I could not find this.", outcome="no_context")))
    assert "Nothing was cited" in absent
    assert "Closest passages (3)" in absent
    assert "Sources appear here" in str(sources.panel(None))
