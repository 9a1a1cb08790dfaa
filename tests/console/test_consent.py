"""Money is spent with consent only: one rule, whichever command asks a paid model."""

from __future__ import annotations

import io
import sys

import pytest
import typer

from console.commands.consent import agree, reach


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_costs_nothing_needs_no_consent(capsys: pytest.CaptureFixture[str]) -> None:
    agree("12 calls, $0", 0.0, yes=False)
    assert "12 calls" in capsys.readouterr().err


@pytest.mark.parametrize("usd", [None, 0.001, 5.0])
def test_without_a_terminal_the_command_ends_and_says_what_to_add(
    usd: float | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        agree("12 calls", usd, yes=False)
    assert ended.value.exit_code == 2
    assert "add --yes" in capsys.readouterr().err
    agree("12 calls", usd, yes=True)


@pytest.mark.parametrize(
    ("usd", "reply", "goes_on"), [(5.0, "n", False), (5.0, "y", True), (None, "n", False), (0.001, "n", True)]
)
def test_a_person_is_asked_from_a_cent_on(
    usd: float | None, reply: str, goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(f"{reply}\n"))
    if goes_on:
        agree("12 calls", usd, yes=False)
    else:
        with pytest.raises(typer.Abort):
            agree("12 calls", usd, yes=False)


def test_a_command_that_will_need_consent_ends_before_its_work() -> None:
    reach(yes=True)
    with pytest.raises(typer.Exit):
        reach(yes=False)
