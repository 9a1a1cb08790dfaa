"""How far scorers agree with people, as a table: what each of their words is worth in a gate."""

from __future__ import annotations

from html import escape

from console.dashboard import data, markup, palette
from evalsets.judges import calibration
from evalsets.judges.calibration import Calibration
from evalsets.metrics.metric import SCORER
from evalsets.metrics.table import JUDGED, find_metric

KINDS = {"spearman": "Spearman's ρ", "auc": "AUC"}
HEADS = ["Scorer", "Set", "Measure", "Agreement ", "95 % interval ", "n ", "Floor ", "In a gate"]


def table(metrics: set[str] | None = None) -> str:
    """Return the agreements on record as HTML, of these metrics or of all; empty when there is none."""
    settings = data.settings()
    record = [
        one for one in calibration.on_record(settings.data_dir) if metrics is None or one.metric in metrics
    ]
    if not record:
        return ""
    floor = settings.evals.judge_floor
    judges = {(one.metric, one.scorer) for one in record}
    barred = {pair for pair in judges if calibration.distrust(settings.data_dir, [pair], floor)}
    return markup.table(HEADS, [_row(one, floor, (one.metric, one.scorer) in barred) for one in record])


def _row(one: Calibration, floor: float, barred: bool) -> str:
    judge = one.metric in JUDGED and one.scorer != SCORER
    interval = "—" if one.ci_low is None or one.ci_high is None else f"{one.ci_low:.2f} – {one.ci_high:.2f}"
    apart = f"{one.failed} failed" if one.failed else ""
    return markup.row(
        [
            markup.cell(
                f"<b>{escape(find_metric(one.metric).title)}</b>{markup.small(escape(one.scorer))}", "text"
            ),
            markup.cell(escape(one.labelled)),
            markup.cell(KINDS[one.kind]),
            markup.cell("—" if one.value is None else f"<b>{one.value:.2f}</b>", "right"),
            markup.cell(interval, "right"),
            markup.cell(f"{one.n:,}{markup.small(apart)}", "right"),
            markup.cell(_floor(one, floor) if judge else "—", "right quiet"),
            markup.cell(_standing(judge, barred)),
        ]
    )


def _floor(one: Calibration, floor: float) -> str:
    """Return the floor on the scale of the measure: an AUC of 0.5 is chance, a correlation of 0."""
    return f"{(floor + 1) / 2:.2f}" if one.kind == "auc" else f"{floor:.2f}"


def _standing(judge: bool, barred: bool) -> str:
    if not judge:
        return markup.chip("needs no leave", palette.NEUTRAL, "only judges must prove themselves")
    if barred:
        return markup.chip("✕ not trusted", palette.BAD, "its best set lies under the floor")
    return markup.chip("✓ trusted", palette.GOOD, "its best set lies at or above the floor")
