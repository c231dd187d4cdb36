"""The rows of an outline -> one SVG picture that needs nothing else: no script, no font, no address.

INVARIANT: every name of a policy goes through `said`; colours and lengths are made here. The only
addresses are those of the rules, which the caller makes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from engine.decision.outcomes import Place
from engine.decision.tree_drawing import (
    MOST_NAMES,
    TITLE,
    Heading,
    firsts_of,
    head_of,
    more_than_named,
    names_of,
    place_of,
    places_of,
    question_of,
)
from engine.decision.tree_outline import Result, Row
from engine.language.checked_policy import Rule
from engine.language.diagnostics import visible

CHARACTER, SMALL = 7.25, 6.65
"""The width of a character of a monospaced face, at 12 and at 11 pixels."""

MARGIN, INDENT, GAP, CLOUD_MARK = 16, 20, 8, 10
ASKING, TELLING = 26, 44
"""The height of a row with a question, and of one with what it comes to."""

WIDEST_LINE = 150
NARROWEST = 620.0
"""Characters of a line in the heading."""

STYLE = """\
text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#1f2328}
.title{font:600 18px system-ui,"Segoe UI",Helvetica,Arial,sans-serif}
.soft{fill:#59636e;font-size:11px}.line{fill:none;stroke:#c4ccd4}.ask{fill:#eef1f4;stroke:#c4ccd4}
.lead{stroke:#d1d9e0;stroke-dasharray:1 4}
.again{fill:#fff;stroke:#c4ccd4;stroke-dasharray:3}
.here{fill:#dafbe1;stroke:#2da44e}.out{fill:#ffead5;stroke:#d9730d}.refused{fill:#ffe3e0;stroke:#cf222e}
.t-here{fill:#0f5323;font-weight:600}.t-out{fill:#7a3303;font-weight:600}.t-refused{fill:#8a1119;font-weight:600}
.rule{font-size:11px;fill:#1f2328}.rule a{text-decoration:underline}
"""

Link = Callable[[Rule], str | None]
"""Where a rule can be read; None where there is no address."""


def svg(rows: Sequence[Row], heading: Heading, link: Link) -> str:
    """The picture: what it is of, the legend, then a row for each row, indented as the questions stand."""
    return "\n".join(_Picture(rows, heading, link).lines())


def said(words: str) -> str:
    """Text as a picture may hold it: control characters made visible, markup escaped."""
    return escape(visible(words), quote=True)


@dataclass(frozen=True, slots=True)
class _Chip:
    """What a stretch of tasks comes to, in two lines, and how wide it is drawn."""

    result: Result
    head: str
    foot: str

    @property
    def width(self) -> float:
        mark = CLOUD_MARK if self.result.place is Place.THEN_CLOUD else 0
        return max(len(self.head) * CHARACTER + mark, len(self.foot) * SMALL) + 2 * GAP


class _Picture:
    """Places what is drawn. Rows stand below each other; what they come to stands in columns."""

    def __init__(self, rows: Sequence[Row], heading: Heading, link: Link) -> None:
        self._rows, self._heading, self._link = rows, heading, link
        self._chips = {row.number: [] if row.cut else [_chip(one) for one in row.results] for row in rows}
        self._referred = {row.again for row in rows if row.again is not None}
        self._held = _lines_of(
            f"Held: {'; '.join(heading.held)}." if heading.held else "Every fact is asked about."
        )
        self._top = 84 + 15 * len(self._held)
        self._middles: list[float] = []
        y = float(self._top)
        for row in rows:
            high = TELLING if self._chips[row.number] else ASKING
            self._middles.append(y + high / 2)
            y += high
        self._high = y + MARGIN
        telling = [row for row in rows if self._chips[row.number]]
        self._column = max((self._label_end(row) for row in telling), default=0.0)

    def lines(self) -> Iterator[str]:
        shapes = [line for row in self._rows for line in self._row(row)]
        wide = self._width()
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{self._high:.0f}" '
            f'viewBox="0 0 {wide:.0f} {self._high:.0f}" role="img" aria-label="{said(TITLE)}">'
        )
        yield f"<style>{STYLE}</style>"
        yield f'<rect width="{wide:.0f}" height="{self._high:.0f}" fill="#fff"/>'
        yield from self._head()
        yield from shapes
        yield "</svg>"

    def _head(self) -> Iterator[str]:
        yield f'<text class="title" x="{MARGIN}" y="32">{said(TITLE)}</text>'
        subject = said(f"{self._heading.policy}, {self._heading.date}")
        yield f'<text class="soft" x="{MARGIN}" y="50">{subject}</text>'
        for number, line in enumerate(self._held):
            yield f'<text class="soft" x="{MARGIN}" y="{65 + 15 * number}">{said(line)}</text>'
        x, y = float(MARGIN), float(self._top - 14)
        yield from self._places(Place, x, y)
        x += sum(_place_width(place) + 8 for place in Place)
        yield f'<text class="soft" x="{x + 6:.0f}" y="{y + 4:.0f}">below: the rule that decides so</text>'

    def _row(self, row: Row) -> Iterator[str]:
        x, y = self._left(row), self._middles[row.number]
        if row.parent is not None:
            stem = self._left(self._rows[row.parent]) + 10
            top = self._middles[row.parent] + 11
            yield f'<path class="line" d="M{stem:.0f} {top:.0f} V{y:.0f} H{x:.0f}"/>'
            yield f'<text x="{x + 4:.0f}" y="{y + 4:.0f}">{said(row.branch)}</text>'
        x += self._branch_width(row)
        chips = self._chips[row.number]
        if not chips:
            yield from self._question(row, x, y)
            return
        if row.question:
            yield f'<text class="soft" x="{x:.0f}" y="{y + 4:.0f}">{said(row.question)}</text>'
        if self._column - self._label_end(row) > 2 * INDENT:
            yield f'<path class="lead" d="M{self._label_end(row):.0f} {y:.0f} H{self._column - 6:.0f}"/>'
        right = self._column
        for chip in chips:
            yield from self._drawn(chip, right, y)
            right += chip.width + 6

    def _question(self, row: Row, x: float, y: float) -> Iterator[str]:
        words = self._asked(row)
        yield f'<g id="row-{row.number}">'
        kind = "again" if row.again is not None or row.cut else "ask"
        yield from _box(kind, x, y - 10, self._asked_width(row), 20)
        drawn = f'<text x="{x + GAP:.0f}" y="{y + 4:.0f}">{said(words)}</text>'
        yield drawn if row.again is None else f'<a href="#row-{row.again}">{drawn}</a>'
        yield "</g>"
        if row.cut:
            yield from self._places(places_of(row), x + self._asked_width(row) + 6, y)

    def _places(self, places: Iterable[Place], x: float, y: float) -> Iterator[str]:
        """Boxes with nothing but the names of places."""
        for place in places:
            wide = _place_width(place)
            yield from _box(_class(place), x, y - 10, wide, 20)
            yield f'<text class="t-{_class(place)}" x="{x + GAP:.0f}" y="{y + 4:.0f}">{place.value}</text>'
            if place is Place.THEN_CLOUD:
                yield _cloud_mark(x + wide, y - 10, 20)
            x += wide + 8

    def _asked(self, row: Row) -> str:
        if row.again is not None:
            return f"{question_of(row)} as at #{row.again}"
        if row.cut:
            return f"{question_of(row)} {row.cut} more rows"
        return question_of(row) + (f" #{row.number}" if row.number in self._referred else "")

    def _drawn(self, chip: _Chip, x: float, y: float) -> Iterator[str]:
        kind = _class(chip.result.place)
        reasons = [
            f"{rule.name} ({place_of(rule)}){f': {rule.because}' if rule.because else ''}"
            for rule in chip.result.rules
        ]
        first = firsts_of(chip.result)
        told = "\n".join(map(said, [*([f"first {first}"] if first else []), *reasons]))
        yield f"<g><title>{told}</title>"
        yield from _box(kind, x, y - 18, chip.width, 36)
        if chip.result.place is Place.THEN_CLOUD:
            yield _cloud_mark(x + chip.width, y - 18, 36)
        yield f'<text class="t-{kind}" x="{x + GAP:.0f}" y="{y - 3:.0f}">{said(chip.head)}</text>'
        names = ", ".join(map(self._named, chip.result.rules[:MOST_NAMES])) or said(chip.foot)
        more = more_than_named(chip.result.rules)
        yield f'<text class="rule" x="{x + GAP:.0f}" y="{y + 12:.0f}">{names}{more}</text>'
        yield "</g>"

    def _named(self, rule: Rule) -> str:
        address = self._link(rule)
        return said(rule.name) if address is None else f'<a href="{said(address)}">{said(rule.name)}</a>'

    # --- Lengths ----------------------------------------------------------------------------------------

    def _left(self, row: Row) -> float:
        return MARGIN + INDENT * row.level

    def _branch_width(self, row: Row) -> float:
        return len(visible(row.branch)) * CHARACTER + 12 if row.parent is not None else 0

    def _asked_width(self, row: Row) -> float:
        return len(self._asked(row)) * CHARACTER + 2 * GAP

    def _cut_width(self, row: Row) -> float:
        return sum(_place_width(place) + 8 for place in places_of(row)) if row.cut else 0

    def _label_end(self, row: Row) -> float:
        return self._left(row) + self._branch_width(row) + len(visible(row.question)) * SMALL + 10

    def _width(self) -> float:
        asking = (
            self._left(row) + self._branch_width(row) + self._asked_width(row) + self._cut_width(row)
            for row in self._rows
            if not self._chips[row.number]
        )
        held = max(len(line) for line in self._held) * SMALL + MARGIN
        telling = (self._column + sum(chip.width + 6 for chip in chips) for chips in self._chips.values())
        return max(NARROWEST, held, *telling, *asking) + MARGIN


def _place_width(place: Place) -> float:
    return len(place.value) * CHARACTER + 2 * GAP + (CLOUD_MARK if place is Place.THEN_CLOUD else 0)


def _chip(result: Result) -> _Chip:
    return _Chip(result, with_signs(head_of(result)), names_of(result))


def with_signs(words: str) -> str:
    """`<=` and `>=` as one sign each, as they are printed."""
    return words.replace("<=", "≤").replace(">=", "≥")


def _class(place: Place) -> str:
    return "here" if place is Place.THEN_CLOUD else place.value


def _box(kind: str, x: float, y: float, wide: float, high: float) -> Iterator[str]:
    yield (f'<rect class="{kind}" x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{high:.0f}" rx="5"/>')


def _cloud_mark(right: float, y: float, high: float) -> str:
    """The edge of a box behind which cloud models follow, in the colour of what goes out."""
    return f'<rect class="out" x="{right - 9:.0f}" y="{y:.0f}" width="9" height="{high:.0f}" rx="3"/>'


def _lines_of(words: str) -> list[str]:
    lines = [""]
    for word in visible(words).split(" "):
        if len(lines[-1]) + len(word) >= WIDEST_LINE:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
