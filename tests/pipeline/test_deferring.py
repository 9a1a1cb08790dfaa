"""Packages whose `__init__` waits until a name of theirs is wanted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.knowledge.deferring import defer


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package on the path with a light part and an `__init__` that says that it ran."""
    folder = tmp_path / "waiting_shop"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "import sys\nsys.shop_ran = True\nfrom waiting_shop.heavy import till\n"
    )
    (folder / "heavy.py").write_text("till = 3\n")
    (folder / "light.py").write_text("lamp = 5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "shop_ran", False, raising=False)
    for name in ("waiting_shop", "waiting_shop.heavy", "waiting_shop.light"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "waiting_shop"


def test_a_part_is_imported_without_the_rest_and_a_name_brings_it(package: str) -> None:
    defer(package)
    shop = sys.modules[package]
    light = __import__(f"{package}.light", fromlist=["lamp"])
    assert light.lamp == 5 and not sys.shop_ran and f"{package}.heavy" not in sys.modules  # type: ignore[attr-defined]
    defer(package)  # it is there already
    assert sys.modules[package] is shop
    assert shop.till == 3 and sys.shop_ran  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="waiting_shop.*no attribute 'door'"):
        _ = shop.door


def test_a_package_that_is_not_installed_is_none_of_its_business() -> None:
    defer("no_such_package_here")
    assert "no_such_package_here" not in sys.modules
