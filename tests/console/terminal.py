"""The command line as the program runs it, in the process of the test."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from console.cli import main

Ended = tuple[int, str, str]  # exit code, output, error output


class Terminal:
    """Runs commands in a data folder; what they print is caught."""

    def __init__(self, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._capsys = capsys

    def __call__(self, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        """Return how a command ended; it always ends by itself."""
        with self._patch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["answerdeck", *arguments])
            self._capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        code = ended.value.code
        out, error = self._capsys.readouterr()
        return (1 if isinstance(code, str) else code or 0), out, error

    def works(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Run a command that must succeed, and return what it printed."""
        code, out, error = self(*arguments, env=env)
        assert code == 0, f"{' '.join(arguments)}\n{out}\n{error}"
        return out


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A terminal with an empty data folder."""
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("LOG_LEVEL", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return Terminal(monkeypatch, capsys)
