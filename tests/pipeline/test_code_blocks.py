"""Fenced code is one thing: found with the words that lead to it, never cut, shown with its lines."""

from __future__ import annotations

import pytest

from pipeline.extractive.composing import compose
from pipeline.extractive.evidence import read
from pipeline.extractive.rows import statements
from pipeline.extractive.wording import cited, empty
from pipeline.knowledge.chunking import chunk
from pipeline.knowledge.documents import Document
from pipeline.knowledge.reading import html, markdown
from pipeline.text.code_blocks import parted
from pipeline.text.sentences import sentences
from tests.pipeline.test_evidence import retrieved

PAGE = """Kites are kept in the loft.

To wind a kite in, run:

```sh
kite wind --slowly
kite lock
```

1. Unpack it:

   ~~~
   kite unpack
     --all
   ~~~

2. Look up.
   ```
   kite look
   ```
3. Hold on.

> A torn kite goes back
> to the loft.

```
kite status
```
"""


def units(text: str) -> list[str]:
    return [part for part, _, _ in statements(text, sentences(text))]


def test_code_is_read_with_the_words_that_lead_to_it() -> None:
    assert units(PAGE) == [
        "Kites are kept in the loft.",
        "To wind a kite in, run:\n\n```sh\nkite wind --slowly\nkite lock\n```",
        "1. Unpack it:\n\n   ~~~\n   kite unpack\n     --all\n   ~~~",
        "2. Look up.\n   ```\n   kite look\n   ```",
        "3. Hold on.",
        "> A torn kite goes back\n> to the loft.",
        "```\nkite status\n```",
    ]
    assert not any(map(empty, units(PAGE)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("To wind in, run:\n\n```sh\na b\nc\n```", "To wind in, run [2]:\n\n```sh\na b\nc\n```"),
        ("1. Unpack it.\n   ~~~\n   a\n     b\n   ~~~", "Unpack it [2].\n\n~~~\na\n  b\n~~~"),
        ("```\na\n```", "```\na\n```\n\n[2]"),
        ("```\ncut off by the end", "```\ncut off by the end\n```\n\n[2]"),
        ("> A torn kite goes back\n> to the loft.", "A torn kite goes back to the loft [2]."),
        ("> > [!NOTE] Hold on.", "Hold on [2]."),
        ("Use ```kite``` in a line.", "Use ```kite``` in a line [2]."),
    ],
)
def test_code_keeps_its_lines_in_an_answer(text: str, shown: str) -> None:
    assert cited(text, 2) == shown


def test_an_answer_shows_the_code_and_its_steps_whole() -> None:
    reading = read("How do I wind a kite in?", retrieved(PAGE))
    assert "To wind a kite in, run [1]:\n\n```sh\nkite wind --slowly\nkite lock\n```" in "".join(
        compose("How do I wind a kite in?", reading)
    )
    steps = "".join(
        compose("How do I unpack and look up?", read("How do I unpack and look up?", retrieved(PAGE)))
    )
    assert "1. Unpack it [1]:\n\n   ~~~\n   kite unpack\n     --all\n   ~~~\n2. Look up [1]." in steps


@pytest.mark.parametrize("lines", [3, 30, 300])
def test_a_cut_leaves_code_whole_unless_it_is_too_long(lines: int) -> None:
    code = "Then run:\n\n```\n" + "kite wind --slowly and lock\n" * lines + "```"
    prose = "The wind decides how long a kite stays up in the air. " * 17
    text = f"{prose}\n\n{code}\n\n{prose}\n\n{code}\n"
    parts = chunk(Document("d", "T", text))
    whole = [part for part in parts if code in part.text]
    assert len(whole) == (2 if lines < 300 else 0)  # 300 lines are more than four chunks
    assert "".join("".join(part.text for part in parts).split()) == "".join(text.split())


LOFT = """Take a kite from the loft.

## Synopsis

```
kite take <name>
```

## Description

Each kite has a name. A kite that is torn stays where it is.
"""


def test_what_a_page_is_for_is_said_with_the_code_that_does_it() -> None:
    question = "How do I take a kite from the loft?"
    answer = "".join(compose(question, read(question, retrieved(LOFT))))
    assert answer.startswith("Take a kite from the loft [1].\n\n```\nkite take <name>\n```\n\n[1]")


def test_code_that_no_words_lead_to_is_not_shown_by_itself() -> None:
    question = "What does a torn kite do?"
    answer = "".join(compose(question, read(question, retrieved(f"{LOFT}\n```\ntorn kite do\n```\n"))))
    assert "stays where it is" in answer and "```" not in answer


@pytest.mark.parametrize(
    ("question", "lines", "shown"),
    [
        ("How do I wind a kite in?", 2, True),
        ("How do I wind a kite in?", 40, False),
        ("Why is a kite wound in by hand?", 2, False),
    ],
)
def test_code_is_for_those_who_ask_how(question: str, lines: int, shown: bool) -> None:
    code = "\n".join(f"kite wind {n}" for n in range(lines))
    page = (
        "A kite is wound in by hand because the wind is strong.\n\n"
        f"Wind a kite in like this:\n\n```\n{code}\n```\n\nThe keeper winds a kite in at dusk."
    )
    answer = "".join(compose(question, read(question, retrieved(page))))
    assert ("kite wind 1" in answer) is shown


def test_a_text_cut_out_of_a_block_begins_with_code() -> None:
    assert units('"a": 1\n}\n```\n\nThen say:\n\n```json\n{}\n```\n\nDone.') == [
        '"a": 1\n}\n```',
        "Then say:\n\n```json\n{}\n```",
        "Done.",
    ]
    assert cited('"a": 1\n}\n```', 1) == '```\n"a": 1\n}\n```\n\n[1]'


def test_what_is_no_fence_is_no_code() -> None:
    assert parted("Use `a` or ```b``` here.") == ("Use `a` or ```b``` here.", "")
    assert units("One:\n- a ~~~\n") == ["One:", "- a ~~~"]


def test_code_of_a_page_keeps_its_lines() -> None:
    _, text = html.page(
        b"<h1>Kites</h1><p>Run:</p><pre><code>kite   wind\n   --slowly<i hidden>not seen</i>\n</code></pre>"
        b"<ol><li>Unpack:<div class='highlight'><pre>kite\n  unpack</pre></div><li>Look</ol>"
        b"<pre>A poem\n  is none</pre><pre><code> </code></pre>"
    )
    assert units(text) == [
        "Kites",
        "Run:\n\n```\nkite   wind\n   --slowly\n```",
        "1. Unpack:\n\n   ```\n   kite\n     unpack\n   ```",
        "2. Look",
        "A poem\nis none",
    ]


@pytest.mark.parametrize(
    ("front", "first"),
    [
        ("description: Wind kites in", "Wind kites in."),
        ("description: >-\n  Wind\n  in?", "Wind in?"),
        ("description: Kites are kept in the loft", "Kites are kept in the loft."),
        ("description: [a, b]", "Kites are kept in the loft."),
        ("description:", "Kites are kept in the loft."),
    ],
)
def test_what_the_front_matter_says_of_a_page_is_read_once(front: str, first: str) -> None:
    title, text = markdown.read(f"---\ntitle: Kites\n{front}\n---\n{PAGE}".encode(), "kites.md")
    assert (title, text.splitlines()[0]) == ("Kites", first)
    assert text.count("Kites are kept") == 1
