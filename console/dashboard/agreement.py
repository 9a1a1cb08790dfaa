"""How far scorers agree with people, as a table: what each of their words is worth in a gate."""

from __future__ import annotations

from html import escape

from console.dashboard import data, markup, palette, whose
from evalsets.judges import calibration
from evalsets.judges.calibration import Calibration
from evalsets.metrics.metric import SCORER
from evalsets.metrics.table import find_metric, is_judged
from pipeline.auth import DEFAULT
from pipeline.desk import desk

KINDS = {"spearman": "Spearman's ρ", "auc": "AUC"}
HEADS = ["Scorer", "Set", "Measure", "Agreement ", "95 % interval ", "n ", "Floor ", "In a gate"]


def table(metrics: set[str] | None = None) -> str:
    """Return the agreements on record as HTML, of these metrics or of all; empty when there is none."""
    if whose.seen() not in (None, DEFAULT):
        return ""  # the record is kept for `default`
    settings = data.settings()
    desk(settings).look()
    record = [
        calibrated
        for calibrated in calibration.on_record(settings.data_dir)
        if metrics is None or calibrated.metric in metrics
    ]
    if not record:
        return ""
    floor = settings.evals.judge_floor
    judges = {(calibrated.metric, calibrated.scorer) for calibrated in record}
    barred = {pair for pair in judges if calibration.distrust(settings.data_dir, [pair], floor)}
    return markup.table(
        HEADS,
        [_row(calibrated, floor, (calibrated.metric, calibrated.scorer) in barred) for calibrated in record],
    )


def _row(calibrated: Calibration, floor: float, barred: bool) -> str:
    judge = is_judged(calibrated.metric) and calibrated.scorer != SCORER
    interval = (
        "—"
        if calibrated.ci_low is None or calibrated.ci_high is None
        else f"{calibrated.ci_low:.2f} – {calibrated.ci_high:.2f}"
    )
    apart = f"{calibrated.failed} failed" if calibrated.failed else ""
    return markup.row(
        [
            markup.cell(
                f"<b>{escape(find_metric(calibrated.metric).title)}</b>{markup.small(escape(calibrated.scorer))}",
                "text",
            ),
            markup.cell(escape(calibrated.labelled)),
            markup.cell(KINDS[calibrated.kind]),
            markup.cell("—" if calibrated.value is None else f"<b>{calibrated.value:.2f}</b>", "right"),
            markup.cell(interval, "right"),
            markup.cell(f"{calibrated.n:,}{markup.small(apart)}", "right"),
            markup.cell(_floor(calibrated, floor) if judge else "—", "right quiet"),
            markup.cell(_standing(judge, barred)),
        ]
    )


def _floor(calibrated: Calibration, floor: float) -> str:
    """Return the floor on the scale of the measure: an AUC of 0.5 is chance, a correlation of 0."""
    return f"{(floor + 1) / 2:.2f}" if calibrated.kind == "auc" else f"{floor:.2f}"


def _standing(judge: bool, barred: bool) -> str:
    if not judge:
        return markup.chip("needs no leave", palette.NEUTRAL, "only judges must prove themselves")
    if barred:
        return markup.chip("✕ not trusted", palette.BAD, "its best set lies under the floor")
    return markup.chip("✓ trusted", palette.GOOD, "its best set lies at or above the floor")
