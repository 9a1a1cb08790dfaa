"""The example in the room's README runs."""

from __future__ import annotations

import re
from pathlib import Path


def test_the_example_runs():
    readme = Path(__file__).parents[2] / "traces" / "README.md"
    (example,) = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    exec(example, {})
