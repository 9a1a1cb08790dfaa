"""The counting of lines that tests/counting.py prepares faster is SlipCover's own."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType

import pytest

from tests import counting
from tests.house import ROOT


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from codes(each)


@pytest.mark.parametrize(
    "path", ["pipeline/own_documents/intake.py", "pipeline/guardrails/markup.py", "traces/duck.py"]
)
def test_lines_of_annotations_are_those_slipcover_finds(path: str) -> None:
    text = (ROOT / path).read_text()
    every = list(codes(compile(text, path, "exec")))
    result = [counting.annotation_only_lines(code) for code in every]
    assert result == [counting.SLIPCOVERS(code) for code in every]
    assert any(result) or path == "traces/duck.py"
