"""The command line lists itself without loading anything, and what it lists is what the commands say."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Mapping

import pytest
from typer.testing import CliRunner

from console.cli import ROOT, app
from console.commands.lazy import Command, Group

GROUPS: dict[tuple[str, ...], Mapping[str, Command | Group]] = {
    (name,): entry.commands for name, entry in ROOT.items() if isinstance(entry, Group)
}
COMMANDS: dict[tuple[str, ...], Command] = {
    (*path, name): command
    for path, table in {(): ROOT, **GROUPS}.items()
    for name, command in table.items()
    if isinstance(command, Command)
}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_says_of_itself_what_the_list_says(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    sentence = (inspect.getdoc(command.function) or "").split("\n\n")[0].replace("\n", " ")
    assert command.help == sentence
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert f"answerdeck {' '.join(path)} [OPTIONS]" in shown.output
    assert sentence.split(";")[0].split(",")[0] in " ".join(shown.output.split())


def test_listing_loads_no_command() -> None:
    code = (
        "import sys\nfrom console.cli import main\n"
        "rooms = ('evalsets', 'pipeline.build', 'traces.store', 'console.commands.')\n"
        "light = {'console.commands.lazy', 'console.commands.screen'}\n"
        f"for path in {[(), *GROUPS]!r}:\n"
        "    sys.argv = ['answerdeck', *path, '--help']\n"
        "    try:\n        main()\n    except SystemExit:\n        pass\n"
        "    loaded = [name for name in sys.modules if name.startswith(rooms) and name not in light]\n"
        "    print(path, loaded, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == [f"{path} []" for path in [(), *GROUPS]]
    assert done.stdout.count("Usage: answerdeck") == 1 + len(GROUPS)


def test_an_unknown_command_is_named_with_the_nearest() -> None:
    done = CliRunner().invoke(app, ["evl"])
    assert done.exit_code == 2
    assert "No such command 'evl'" in done.output and "eval" in done.output
