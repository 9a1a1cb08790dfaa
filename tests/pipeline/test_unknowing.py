"""A sentence that only says that nothing is known is told from one that denies something."""

from __future__ import annotations

import pytest

from pipeline.guardrails.unknowing import deferring, unknowing


@pytest.mark.parametrize(
    "sentence",
    [
        "I could not find this in the documents.",
        "I don't have specific information about version 6.16.0 of the command line.",
        "I do not know.",
        "Honestly , I do n't know .",
        "I'm sorry, but I don't have enough information to answer that question.",
        "I'm not sure which of the two plans you mean.",
        "I can’t say how long the delivery takes.",
        "Unfortunately, the provided documents do not mention the price of the annual plan.",
        "The passages don't say whether pets are allowed.",
        "The context does not explicitly state who wrote it.",
        "There is no information about opening hours on Sundays.",
        "No details about the warranty are given in the text.",
        "The name of the founder is not mentioned in the given documents.",
        "Based on the information provided, I cannot determine the exact date.",
        "I was unable to find an answer in the sources, but feel free to ask again.",
        "The manual gives no figure for the weight.",
        "I have no idea.",
        "I'm sorry, but I don't understand what you mean.",
        "If there are more steps, I am not aware of them.",
    ],
)
def test_it_only_says_that_nothing_is_known(sentence: str) -> None:
    assert unknowing(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "If no special options are required, it is not necessary to specify a clause.",
        "The image is no longer available to be used to provision an instance.",
        "The name on file doesn't match the information of the company that issued the card.",
        "If your transaction was rejected and an email address was not provided, contact the issuer.",
        "Version 3 works until its end of support, which is not yet available.",
        "i'm not sure but i know that the 10 largest firms made 170 billion dollars.",
        "I could not find this in the documents, but usually you can edit xorg.conf.",
        "The documents do not mention a fee; the plan costs five euros a month.",
        "You do not need to give details of your account.",
        "I'm not sure, I do know that he became the leading figure of rock and roll.",
        "Documents that you do not have permission to read are not returned.",
        "The search leaves out all documents that don't mention the word.",
        "If the answer is not covered by the passages, the strong model is asked.",
        "No passages are chosen from the remaining documents.",
        'The chat shows "I could not find this in the documents" in that case.',
        "We do not share your information with others.",
        "Results are not limited to documents that contain the entire phrase.",
        "A record without details is not stored.",
        "The server does not answer while the index is built.",
        "The page does not load when the cache is full.",
        "I do not recommend turning the firewall off.",
        "I do not know, but it is usually blue.",
    ],
)
def test_it_states_something(sentence: str) -> None:
    assert not unknowing(sentence)


@pytest.mark.parametrize(
    ("sentence", "deferred"),
    [
        ("Could you tell me which version you use?", True),
        ("For more information, please refer to the official documentation.", True),
        ("You may want to check the website of the maker.", True),
        ("I recommend contacting the support team directly.", True),
        ("Please provide more details.", True),
        ("Please contact support at 030 1234567.", False),
        ("You can see the status on the first page of the console.", False),
        ("Visit https://example.com for the price.", False),
        ("The support team is open on Sundays.", False),
        ("You can turn it off in the settings.", False),
    ],
)
def test_what_asks_back_or_points_elsewhere_is_known(sentence: str, deferred: bool) -> None:
    assert deferring(sentence) is deferred
