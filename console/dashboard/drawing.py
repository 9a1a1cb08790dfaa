"""Charts over time as HTML and SVG: no library is loaded to draw them; a hover shows the values of a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from html import escape

from console import format
from console.dashboard import clock, markup, palette

Times = Sequence[datetime]
Numbers = Sequence[float | None]
LATENCY = {"p50": "#0ea5e9", "p95": "#6366f1", "p99": palette.NEUTRAL}
RATES = {"hit rate": palette.GOOD, "error rate": palette.BAD}
_SIDE = 1000  # of the square that the browser stretches over the chart
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_STRIDES = (
    *(minutes * _MINUTE for minutes in (1, 5, 10, 15)),
    *(hours * _HOUR for hours in (1, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 5, 7, 14, 28)),
)
_MOST_TICKS = 7
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - times on a wall have no zone


@dataclass(frozen=True, slots=True)
class Series:
    """One value a step, None where nothing was measured, and its colour."""

    values: Numbers
    colour: str


@dataclass(frozen=True, slots=True)
class Scale:
    """The axis of the values: from low to high, the places of its ticks, and how values are written."""

    low: float
    high: float
    ticks: Sequence[float]
    tick: Callable[[float], str]
    value: Callable[[float], str]

    def height(self, value: float) -> float:
        """Return how far below the top of the square a value lies."""
        return _SIDE * (1 - (value - self.low) / (self.high - self.low))


@dataclass(frozen=True, slots=True)
class Limit:
    """A value that should not be passed, with its name."""

    value: float
    name: str


def latency(times: Times, p50: Numbers, p95: Numbers, p99: Numbers, objective: float) -> str:
    """Draw the latency percentiles and the objective for the 95th."""
    values = {"p50": p50, "p95": p95, "p99": p99}
    series = {name: Series(values[name], colour) for name, colour in LATENCY.items()}
    limit = Limit(objective, f"p95 objective {objective:g} s")
    most = max((value for line in values.values() for value in line if value is not None), default=0.0)
    scale = _upto(max(most, objective), lambda value: f"{value:g} s", format.seconds)
    alt = "Latency percentiles 50, 95 and 99 over time, with the objective."
    return _chart(times, series, scale, _lines, alt, limit)


def rates(times: Times, hit_rate: Numbers, error_rate: Numbers) -> str:
    """Draw the retrieval hit rate and the error rate on one scale from 0 to 100 %."""
    values = {"hit rate": hit_rate, "error rate": error_rate}
    series = {name: Series(values[name], colour) for name, colour in RATES.items()}
    scale = Scale(-0.02, 1.04, (0, 0.25, 0.5, 0.75, 1), lambda value: f"{value:.0%}", format.share)
    return _chart(times, series, scale, _lines, "Retrieval hit rate and error rate over time.")


def cost(
    times: Times, by_model: Mapping[str, Numbers], colours: Mapping[str, str], limit: Limit | None = None
) -> str:
    """Stack the cost of each model over time."""
    series = {
        format.model(name): Series(values, colours.get(name, palette.NEUTRAL))
        for name, values in by_model.items()
    }
    sums = [sum(value or 0.0 for value in step) for step in zip(*by_model.values(), strict=True)]
    most = max([*sums, limit.value if limit else 0.0])
    scale = _upto(most, lambda value: f"${value:,g}", format.usd)
    alt = f"Cost over time, stacked by model: {', '.join(by_model)}."
    return _chart(times, series, scale, _bars, alt, limit)


def midnight(day: date) -> datetime:
    """Return when a day begins, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


Marks = Callable[[Sequence[Series], Scale], str]


def _chart(
    times: Times,
    series: Mapping[str, Series],
    scale: Scale,
    marks: Marks,
    alt: str,
    limit: Limit | None = None,
) -> str:
    """Return the legend and the chart; `marks` draws the series into the square."""
    walls, across = clock.wall(times), marks is _bars
    named = {name: curve.colour for name, curve in series.items()}
    named |= {limit.name: palette.BAD} if limit else {}
    rules = "".join(f"M0 {scale.height(at):.1f}H{_SIDE}" for at in scale.ticks)
    drawn = f'<path class="rule" d="{rules}"/>{marks(list(series.values()), scale)}'
    if limit:
        drawn += (
            f'<path class="limit" stroke="{palette.BAD}" d="M0 {scale.height(limit.value):.1f}H{_SIDE}"/>'
        )
    texts = [scale.tick(at) for at in scale.ticks]
    heights = (
        f'<span style="top:{scale.height(at) / _SIDE:.2%}">{escape(text)}</span>'
        for at, text in zip(scale.ticks, texts, strict=True)
    )
    return (
        f'{markup.legend(named)}<div class="plot" role="img" aria-label="{escape(alt)}" '
        f'style="--w:{max(map(len, texts))}"><div class="heights">{"".join(heights)}</div>'
        f'<div class="field"><svg viewBox="0 0 {_SIDE} {_SIDE}" preserveAspectRatio="none">{drawn}</svg>'
        f"{_tips(walls, series, scale, across=across)}</div>"
        f'<div class="times">{_times(walls, across=across)}</div></div>'
    )


def _lines(series: Sequence[Series], scale: Scale) -> str:
    """Return one line a series, a gap where nothing was measured, a dot where a step stands alone."""
    drawn: list[str] = []
    for curve in reversed(series):  # the first one on top
        last = max(len(curve.values) - 1, 1)
        pieces, dots, before = "", "", False
        padded = [*curve.values, None]
        for step, value in enumerate(curve.values):
            if value is None:
                before = False
                continue
            place = f"{_SIDE * step / last:.1f} {scale.height(value):.1f}"
            if before or padded[step + 1] is not None:
                pieces += f"{'L' if before else 'M'}{place}"
            else:
                dots += f"M{place}h0"
            before = True
        drawn.append(f'<path stroke="{curve.colour}" d="{pieces}"/>' if pieces else "")
        drawn.append(f'<path class="alone" stroke="{curve.colour}" d="{dots}"/>' if dots else "")
    return "".join(drawn)


def _bars(series: Sequence[Series], scale: Scale) -> str:
    """Return the series stacked on each other, one column a step."""
    steps = max((len(curve.values) for curve in series), default=0)
    below = [0.0] * steps
    drawn: list[str] = []
    for curve in series:
        columns = ""
        for step, value in enumerate(curve.values):
            if value:
                left, width = _SIDE * (step + 0.09) / steps, _SIDE * 0.82 / steps
                foot, head = scale.height(below[step]), scale.height(below[step] + value)
                columns += f"M{left:.1f} {foot:.1f}V{head:.1f}h{width:.1f}V{foot:.1f}z"
                below[step] += value
        drawn.append(f'<path class="columns" fill="{curve.colour}" d="{columns}"/>' if columns else "")
    return "".join(drawn)


def _tips(walls: Times, series: Mapping[str, Series], scale: Scale, *, across: bool) -> str:
    """Return what a hover over each step shows."""
    steps = len(walls)
    whole = walls[-1] - walls[0] if steps > 1 else None
    pattern = "%d %b" if whole and whole.total_seconds() >= _DAY * (steps - 1) else "%d %b %H:%M"
    tips: list[str] = []
    for step, at in enumerate(walls):
        left, right = _edges(step, steps, across=across)
        values = "".join(
            f"<br>{markup.dotted(f'{name} {scale.value(value)}', curve.colour)}"
            for name, curve in series.items()
            if (value := curve.values[step]) is not None
        )
        side = "right" if (left + right) / 2 > 0.5 else "left"
        moment = escape(f"{at:{pattern}}".lstrip("0"))
        tips.append(
            f'<i style="left:{left:.2%};width:{right - left:.2%}">'
            f'<span class="{side}"><b>{moment}</b>{values}</span></i>'
        )
    return "".join(tips)


def _edges(step: int, steps: int, *, across: bool) -> tuple[float, float]:
    """Return from where to where a step reaches: a column of its own, or half way to its neighbours."""
    if across or steps < 2:
        return step / steps, (step + 1) / steps
    return max((step - 0.5) / (steps - 1), 0.0), min((step + 0.5) / (steps - 1), 1.0)


_EDGE, _CLOSE = 0.97, 0.19  # shares of the axis


def _times(walls: Times, *, across: bool) -> str:
    """Return the texts of the axis of time, seven at most."""
    if not walls:
        return ""
    begin = (walls[0] - _EPOCH).total_seconds()
    length = (walls[-1] - walls[0]).total_seconds()
    fit = (stride for stride in _STRIDES if length / stride <= _MOST_TICKS)
    stride = next(fit, _STRIDES[-1]) if length else _DAY
    texts: list[str] = []
    for number in range(math.ceil(begin / stride), math.floor((begin + length) / stride) + 1):
        at = _EPOCH + timedelta(seconds=number * stride)
        share = (number * stride - begin) / length if length else 0.5
        place = (share * (len(walls) - 1) + 0.5) / len(walls) if across else share
        day = f"{at:%d %b}".lstrip("0")
        first = not texts or not (at.hour or at.minute)
        text = day if stride >= _DAY else f"{at:%H:%M}" + (f"<br>{day}" if first else "")
        if place > _EDGE and texts and stride < _CLOSE * length:
            continue  # drawn to the left of its place, it would touch the one before
        end = ' class="end"' if place > _EDGE else ""
        texts.append(f'<span{end} style="left:{place:.2%}">{text}</span>')
    return "".join(texts)


def _upto(most: float, tick: Callable[[float], str], value: Callable[[float], str]) -> Scale:
    """Return a scale from 0 to at least `most`, with about five ticks at 1, 2 or 5 of a power of ten."""
    rough = (most or 1.0) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= rough * (1 - 1e-9))
    number = math.ceil((most or 1.0) / step - 1e-9)
    return Scale(0.0, step * number, [round(step * at, 12) for at in range(number + 1)], tick, value)
