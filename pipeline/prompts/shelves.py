"""The prompts of each workspace: its versions, and which of them are in force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.prompts.choice import choose
from pipeline.prompts.force import Force
from pipeline.prompts.library import Library, PromptVersion


@dataclass(frozen=True, slots=True)
class PromptShelf:
    """The prompts of one workspace."""

    library: Library
    force: Force

    def version(self, name: str, conversation_id: str, label: str | None = None) -> PromptVersion:
        """Return the version asked for, else the one that answers the conversation; raises PromptError."""
        if label is not None:
            return self.library.get_of(name, label)
        return choose(self.library, self.force, name, conversation_id)


class PromptShelves:
    """Opens the prompts of a workspace when somebody of it asks first, and keeps them open."""

    def __init__(self, workspace: str, own: PromptShelf, opened: Callable[[str], PromptShelf]) -> None:
        self._opened = opened
        self._shelves = {workspace: own}

    def of(self, workspace: str) -> PromptShelf:
        """Return the prompts of a workspace."""
        if workspace not in self._shelves:
            self._shelves[workspace] = self._opened(workspace)
        return self._shelves[workspace]
