"""Numbers -> SVG inside HTML: lines over time, shares over time, bars, and score against share.

Plain attributes, no script, no style.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10

from engine.language.diagnostics import visible
from engine.replay.outcomes import Interval

LOCAL_COLOURS = ("#0f766e", "#2563eb", "#65a30d", "#0891b2", "#4f46e5", "#15803d")
PAID_COLOURS = ("#ea580c", "#a21caf", "#ca8a04", "#be123c", "#9333ea", "#92400e")
REFUSED_COLOUR = "#6b7280"

WIDTH, HEIGHT = 1024, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 28
MOST_COLUMNS = 128


@dataclass(frozen=True, slots=True)
class Curve:
    """One line over time."""

    name: str
    colour: str
    values: Sequence[float]
    dashed: bool = False


def text(value: str) -> str:
    """Text as a page may hold it: control characters made visible, HTML escaped."""
    return escape(visible(value), quote=True)


def curves(drawn: Sequence[Curve], times: Sequence[str], title: str) -> str:
    """Lines over time, the axis from zero."""
    top = max((max(curve.values, default=0.0) for curve in drawn), default=0.0)
    scale = Scale(top)
    parts = [scale.grid(), _time_axis(times)]
    for curve in drawn:
        count = len(curve.values)
        points = [f"{LEFT:.1f},{scale.y(0):.1f}"] if count else []
        points += [
            f"{_x(place + 1, count):.1f},{scale.y(value):.1f}" for place, value in enumerate(curve.values)
        ]
        dash = ' stroke-dasharray="5 5"' if curve.dashed else ""
        parts.append(
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{curve.colour}" stroke-width="2.25" '
            f'stroke-linejoin="round"{dash}/>'
        )
    names = [(curve.name, curve.colour, _money(curve.values[-1]) if curve.values else "") for curve in drawn]
    return _figure(title, "".join(parts), names)


def spending(
    values: Sequence[float], limit: float, gone: Sequence[int], times: Sequence[str], title: str
) -> str:
    """Money spent in a window, falling back to nothing where one begins; `gone` are the places at which the
    limit was reached."""
    scale = Scale(max([*values, limit]))
    count = len(values)
    points = [f"{LEFT:.1f},{scale.y(0):.1f}"]
    points += [f"{_x(place + 1, count):.1f},{scale.y(value):.1f}" for place, value in enumerate(values)]
    y = scale.y(limit)
    parts = [
        scale.grid(),
        _time_axis(times),
        (
            f'<polygon points="{" ".join(points)} {_x(count, count):.1f},{scale.y(0):.1f}" fill="#0f766e" '
            'fill-opacity="0.16"/>'
        ),
        (
            f'<polyline points="{" ".join(points)}" fill="none" stroke="#0f766e" stroke-width="2" '
            'stroke-linejoin="round"/>'
        ),
        f'<line class="budget" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>',
        (
            f'<text class="gone" x="{WIDTH - RIGHT}" y="{y - 6:.1f}" text-anchor="end">limit {_money(limit)}'
            "</text>"
        ),
        *(f'<circle class="gone" cx="{_x(place + 0.5, count):.1f}" cy="{y:.1f}" r="5"/>' for place in gone),
    ]
    return _figure(title, "".join(parts), [])


def shares(layers: Sequence[tuple[str, str, Sequence[int]]], times: Sequence[str], title: str) -> str:
    """Columns of one height, cut by share."""
    runs = len(layers[0][2]) if layers else 0
    together = max(1, -(-runs // MOST_COLUMNS))
    columns = -(-runs // together)
    wide = (WIDTH - LEFT - RIGHT) / max(columns, 1)
    height = HEIGHT - TOP - BOTTOM
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = TOP + height * (1 - share)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for column in range(columns):
        counts = [sum(values[column * together : (column + 1) * together]) for _, _, values in layers]
        total, below = sum(counts), 0
        for (_, colour, _), count in zip(layers, counts, strict=True):
            if count:
                high = height * count / total
                y = TOP + height - height * below / total - high
                gap = 0.6 if wide > 3 else 0
                parts.append(
                    f'<rect x="{LEFT + column * wide:.2f}" y="{y:.2f}" width="{wide - gap:.2f}" '
                    f'height="{high:.2f}" fill="{colour}"/>'
                )
            below += count
    everything = sum(sum(values) for _, _, values in layers) or 1
    names = [(name, colour, f"{sum(values) / everything:.1%}") for name, colour, values in layers]
    return _figure(title, "".join(parts) + _time_axis(times), names)


def bars(amounts: Sequence[tuple[str, float, str, str]], title: str) -> str:
    """Horizontal bars with their names and numbers: (name, amount, as text, colour)."""
    top = max((amount for _, amount, _, _ in amounts), default=0.0) or 1.0
    high, left, right = 28, 290, 120
    parts = []
    for place, (name, amount, caption, colour) in enumerate(amounts):
        y = place * high
        wide = (WIDTH - left - right) * amount / top
        shown = name if len(name) <= 40 else f"{name[:39]}…"
        parts.append(f'<text x="{left - 12}" y="{y + 18}" text-anchor="end">{text(shown)}</text>')
        parts.append(
            f'<rect x="{left}" y="{y + 5}" width="{max(wide, 1.5):.1f}" height="18" rx="3" fill="{colour}"/>'
        )
        parts.append(
            f'<text class="strong" x="{left + max(wide, 1.5) + 8:.1f}" y="{y + 18}">{text(caption)}</text>'
        )
    return _figure(title, "".join(parts), [], high=len(amounts) * high + 4)


def quality(
    points: Sequence[tuple[str, float, Interval]],
    weak: float,
    strong: float,
    oracle: float,
    names_of: tuple[str, str],
) -> str:
    """Score against the share of strong calls, between what both models reach alone."""
    low = min(weak, *(point.low if point.low is not None else point.value for _, _, point in points))
    high = max(
        strong, oracle, *(point.high if point.high is not None else point.value for _, _, point in points)
    )
    room = (high - low) * 0.08 or 1.0
    low, high = low - room, high + room

    def y(score: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (score - low) / (high - low))

    def x(share: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * share

    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(
            f'<line class="grid" x1="{x(share):.1f}" x2="{x(share):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        )
        parts.append(f'<text x="{x(share):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{share:.0%}</text>')
    for level, whose in ((weak, names_of[0]), (strong, names_of[1]), (oracle, "oracle")):
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(level):.1f}" y2="{y(level):.1f}"/>'
        )
        parts.append(f'<text x="{LEFT - 8}" y="{y(level) + 4:.1f}" text-anchor="end">{level:.3f}</text>')
        parts.append(f'<text x="{LEFT + 6}" y="{y(level) - 5:.1f}">{text(whose)}</text>')
    parts.append(
        f'<line x1="{x(0):.1f}" y1="{y(weak):.1f}" x2="{x(1):.1f}" y2="{y(strong):.1f}" stroke="#9aa3af" '
        'stroke-width="2" stroke-dasharray="5 5"/>'
    )
    colours = ("#0f766e", "#7c3aed", "#ea580c")
    for (_, share, score), colour in zip(points, colours, strict=False):
        if score.low is not None and score.high is not None:
            parts.append(
                f'<line x1="{x(share):.1f}" x2="{x(share):.1f}" y1="{y(score.low):.1f}" '
                f'y2="{y(score.high):.1f}" stroke="{colour}" stroke-width="3" stroke-opacity="0.45"/>'
            )
        parts.append(f'<circle cx="{x(share):.1f}" cy="{y(score.value):.1f}" r="6" fill="{colour}"/>')
    names = [
        (name, colour, f"{score.value:.4f}")
        for (name, _, score), colour in zip(points, colours, strict=False)
    ]
    names.append(("a coin", "#9aa3af", ""))
    return _figure("Score against the share of strong calls", "".join(parts), names)


class Scale:
    """An axis of dollars from zero to just above the highest amount."""

    def __init__(self, top: float) -> None:
        top = top if top > 0 else 1.0
        step = 10.0 ** floor(log10(top))
        step = next(step * factor for factor in (0.2, 0.25, 0.5, 1, 2) if top / (step * factor) <= 5)
        self._step, self._count = step, max(1, -int(-(top / step) // 1))
        self.top = step * self._count

    def y(self, amount: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - amount / self.top)

    def grid(self) -> str:
        parts = []
        for place in range(self._count + 1):
            y = self.y(place * self._step)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(
                f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_money(place * self._step)}</text>'
            )
        return "".join(parts)


def _money(amount: float) -> str:
    if amount == 0:
        return "$0"
    if amount >= 100:
        return f"${amount:,.0f}"
    return f"${amount:.2f}" if amount >= 0.1 else f"${amount:.2g}"


def _x(place: float, count: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * place / max(count, 1)


def _time_axis(times: Sequence[str]) -> str:
    count = len(times)
    parts = []
    last = None
    for place in range(0, count, max(1, -(-count // 8))):
        if times[place] != last:
            last = times[place]
            anchor = "start" if place == 0 else "middle"
            parts.append(
                f'<text x="{_x(place, count):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{text(last)}'
                "</text>"
            )
    return "".join(parts)


def _figure(title: str, inside: str, names: Sequence[tuple[str, str, str]], *, high: int = HEIGHT) -> str:
    legend = "".join(
        '<li><svg viewBox="0 0 14 14" aria-hidden="true"><rect width="14" height="14" rx="3" '
        f'fill="{colour}"/></svg>'
        f'{text(name)} <span class="soft">{text(caption)}</span></li>'
        for name, colour, caption in names
    )
    listed = f'<ul class="legend">{legend}</ul>' if legend else ""
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {high}" role="img" aria-label="{text(title)}">{inside}'
        f"</svg>{listed}</figure>"
    )
