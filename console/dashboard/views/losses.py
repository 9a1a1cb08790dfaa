"""Where the cases of a run lost their relevant page, as a table with the turns of some."""

from __future__ import annotations

from html import escape

import streamlit as st

from console.dashboard import data, markup, whose
from evalsets.reports import losses
from evalsets.reports.losses import LossStage


@whose.cached(ttl=60, max_entries=20, show_spinner=False)
def _stages(run_id: str) -> list[LossStage]:
    with data.ledger() as opened:
        return losses.of_run(opened, run_id)


def show(run_id: str) -> None:
    """Draw the stages of a run; its cases lead to their turns, where one passage is followed."""
    stages = _stages(run_id)
    if not stages:
        st.caption("No case names a relevant page, or the answers came from a chatbot that shows none.")
        return
    turns = {case_id: case.turn_id for case_id, case in data.read_cases(run_id).items()}
    heads = ["LossStage", "Cases ", "Share ", "Such as"]
    markup.show(markup.table(heads, [_row(stage, turns) for stage in stages]), key="losses")
    st.caption("Each case counts at the last stage that the best of its relevant pages reached.")


def _row(stage: LossStage, turns: dict[str, str | None]) -> str:
    examples = [
        markup.link(case_id[:24], markup.address("turns", turn=turn))
        if (turn := turns.get(case_id))
        else escape(case_id)
        for case_id in stage.examples
    ]
    return markup.row(
        [
            markup.cell(f"<b>{escape(stage.title)}</b> {markup.small(escape(stage.what))}", "text"),
            markup.cell(str(stage.cases), "right"),
            markup.cell(f"{stage.share:.1%}", "right"),
            markup.cell(" · ".join(examples) or "—", "mono"),
        ]
    )
