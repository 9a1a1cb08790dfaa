"""Packages of which only a part is wanted: what their `__init__` loads comes when somebody asks for it."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

# LanceDB wants the models of this client of remote catalogues alone; its calls, which check every argument,
# were two fifths of what importing LanceDB costs.
CATALOGUES = "lance_namespace_urllib3_client"


def defer(package: str) -> None:
    """Let modules of a package be imported without its `__init__`, which runs at the first name asked of it.

    Nothing happens where the package is loaded already, or is not installed.
    """
    spec = None if package in sys.modules else importlib.util.find_spec(package)
    if spec is None or spec.loader is None:
        return
    module, loader = importlib.util.module_from_spec(spec), spec.loader

    def load(name: str) -> Any:
        if name.startswith("__") or "__getattr__" not in vars(module):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        del module.__getattr__
        loader.exec_module(module)
        return getattr(module, name)

    module.__getattr__ = load  # type: ignore[method-assign]  # PEP 562
    sys.modules[package] = module
