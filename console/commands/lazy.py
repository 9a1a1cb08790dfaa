"""Commands that are named and described at once, and imported only when they run."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command is: "module:function" of this folder, and the one line that lists show of it."""

    place: str
    help: str

    @property
    def function(self) -> Any:
        """Import its module and return the function; the rest of the command line stays unloaded."""
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(f"console.commands.{module}"), name)


@dataclass(frozen=True, slots=True)
class Group:
    """Commands under one name."""

    help: str
    commands: Mapping[str, Command]


class LazyCommand(TyperCommand):
    """A command that is listed without being imported; `loaded` is the real one."""

    def __init__(self, name: str, command: Command) -> None:
        super().__init__(name, help=command.help)
        self._command = command

    @property
    def loaded(self) -> TyperCommand:
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(self.name)(self._command.function)
        command = get_command(single)
        assert isinstance(command, TyperCommand)
        return command

    def make_context(self, *arguments: Any, **extra: Any) -> Any:
        """Import the command: its own context parses its arguments, shows its help and runs it."""
        return self.loaded.make_context(*arguments, **extra)


class LazyGroup(TyperGroup):
    """The commands of the table it is made with."""

    table: Mapping[str, Command | Group] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, command in self.table.items():
            self.commands[name] = (
                LazyCommand(name, command) if isinstance(command, Command) else _group(name, command)
            )


def _group(name: str, group: Group) -> TyperGroup:
    commands = TyperGroup(name=name, help=group.help, no_args_is_help=True)
    commands.commands.update({key: LazyCommand(key, command) for key, command in group.commands.items()})
    return commands
