"""The drill's scenes hold: the right outcome, one trace a turn, and recovery."""

import pytest

from pipeline.rehearsal.scenes import SCENES, rehearse

CHOSEN = ("both providers down", "journal unwritable", "embedder down")


@pytest.mark.slow
async def test_chosen_scenes_hold() -> None:
    played = await drill_of(*CHOSEN)
    assert {name: problems for name, problems, _ in played} == {name: [] for name in CHOSEN}
    outcomes = {name: outcome for name, _, outcome in played}
    assert outcomes["both providers down"] == {"degraded": 12}


async def drill_of(*names: str) -> list[tuple[str, list[str], dict[str, int]]]:
    scenes = [scene for scene in SCENES if scene.name in names]
    return [(one.name, one.problems, one.outcomes) for one in await rehearse(lambda _: None, scenes)]
