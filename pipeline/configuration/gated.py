"""Which evalsets the team chose for the gate, kept beside its evalsets; else the configuration's decide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.configuration.data_folder import DataFolder
from pipeline.errors import ConfigurationError


def read(folder: Path) -> list[str]:
    """Return the evalsets that were chosen, none without a choice; raises ConfigurationError."""
    path = DataFolder(folder).gate
    try:
        chosen = json.loads(path.read_text("utf-8"))["evalsets"]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError([f"{path} cannot be read ({error}); delete it and choose again"]) from None
    if not isinstance(chosen, list) or not all(isinstance(name, str) for name in chosen):
        raise ConfigurationError([f"{path} names no evalsets; delete it and choose again"])
    return chosen


def write(folder: Path, evalsets: Sequence[str]) -> None:
    """Keep a choice; none goes back to the configuration's evalsets."""
    path = DataFolder(folder).gate
    if not evalsets:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    half.write_text(json.dumps({"evalsets": list(evalsets)}, indent=2) + "\n", encoding="utf-8")
    half.replace(path)
