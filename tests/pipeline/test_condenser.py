"""Follow-ups are known by their words and get the topic of the turn before; others stay as they are."""

from __future__ import annotations

import pytest

from pipeline.context.condenser import beside, needs_history, rewrite, rewrites, split
from pipeline.events import Message

PRINTER = (Message("user", "How do I add my new printer?"), Message("assistant", "Open Settings [1]."))


@pytest.mark.parametrize(
    ("question", "leans"),
    [
        ("Can it do leaflets?", True),
        ("And the picture?", True),
        ("What about that?", True),
        ("Should he be an administrator?", True),
        ("How do I do that?", True),
        ("why?", True),
        ("Can I see how much is left as a number?", True),
        ("How do I back up my files?", False),
        ("Is it possible to print from my phone?", False),
        ("Is there a limit on the file size?", False),
        ("What is a cluster?", False),
        ("Which programs are there that can see where I am?", False),
        ("How do I lock this computer?", False),
    ],
)
def test_needs_history(question: str, leans: bool) -> None:
    assert needs_history(question, PRINTER) is leans
    assert not needs_history(question, ())


def test_rewrite_adds_the_last_topic() -> None:
    assert rewrite("Can it do leaflets?", PRINTER) == "Can it do leaflets?  (add new printer)"


def test_rewrite_looks_past_follow_ups_and_never_glues_turns() -> None:
    history = (
        *PRINTER,
        Message("user", "And is it the one that is always used?"),
        Message("assistant", "Yes."),
    )
    assert rewrite("Can it do leaflets?", history) == "Can it do leaflets?  (add new printer always used)"
    long = (Message("user", "Explain " + " ".join(f"topic{i}" for i in range(50))),)
    assert len(rewrite("And it?", long).split()) <= 7


def test_rewrite_takes_what_the_last_follow_up_added() -> None:
    history = (*PRINTER, Message("user", "How do I change its password?"), Message("assistant", "So."))
    assert rewrite("And the picture?", history) == "And the picture?  (add new printer change password)"


def test_rewrite_without_a_topic_changes_nothing() -> None:
    assert rewrite("And it?", (Message("user", "Is it?"),)) == "And it?"
    assert rewrite("And it?", ()) == "And it?"


@pytest.mark.parametrize(
    ("standalone", "parts"),
    [
        ("Can it do leaflets?  (add new printer)", ("Can it do leaflets?", "add new printer")),
        ("Can it do leaflets?", ("Can it do leaflets?", "")),
        ("Can it do leaflets? (A5)", ("Can it do leaflets? (A5)", "")),
        ("(odd)", ("(odd)", "")),
        ("f(x) is what?", ("f(x) is what?", "")),
    ],
)
def test_split_gives_back_what_rewrite_added(standalone: str, parts: tuple[str, str]) -> None:
    assert split(standalone) == parts


def test_a_models_question_keeps_the_topic_words_that_it_lacks() -> None:
    by_rules = "Can it do leaflets?  (add new printer)"
    assert beside("Can the printer print leaflets?", by_rules) == (
        "Can the printer print leaflets?  (add new)"
    )
    assert beside("Can the new printer I add do it?", by_rules) == "Can the new printer I add do it?"
    assert beside("Can it do leaflets?", "Can it do leaflets?") == "Can it do leaflets?"


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("Can the printer print leaflets?", True),
        ("Can it do leaflets?", True),
        ("Yes, the printer can print leaflets.", False),
        ("The printer can. Does that help?", False),
        ("user: Can the printer print leaflets?", False),
        ("Can the printer " + "really " * 40 + "print leaflets?", False),
        ("", False),
    ],
)
def test_only_a_question_is_taken_for_a_rewritten_question(text: str, taken: bool) -> None:
    assert rewrites(text, "Can it do leaflets?") is taken


def test_what_is_no_question_may_be_rewritten_as_one_or_not() -> None:
    assert rewrites("How do I use the printer for leaflets?", "I mean for leaflets")
    assert rewrites("I mean the printer for leaflets", "I mean for leaflets")
