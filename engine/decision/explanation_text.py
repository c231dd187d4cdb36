"""An explanation -> text that a person reads in one glance: 25 lines, or everything when asked.

Lines are plain; control characters of names and reasons are escaped, so that a policy cannot act on a
terminal.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from textwrap import wrap
from typing import Protocol

from engine.config.catalogue import Model
from engine.decision.cache_prices import is_cache_price
from engine.decision.candidate import Candidate
from engine.decision.decision_tree import Step
from engine.decision.evaluator import Decision
from engine.decision.scoring import round_half_up
from engine.language.checked_policy import Rule, Weigh
from engine.language.diagnostics import visible

WIDTH = 110
INDENT = 10
MOST_LINES = 25


class Explained(Protocol):
    """What the text reads of an `Explanation`; see there."""

    @property
    def decision(self) -> Decision: ...
    @property
    def model(self) -> Model | None: ...
    @property
    def chain(self) -> tuple[Model, ...]: ...
    @property
    def route(self) -> Rule | None: ...
    @property
    def path(self) -> list[Step]: ...
    @property
    def candidates(self) -> tuple[Candidate, ...]: ...
    @property
    def tie_break(self) -> str | None: ...
    @property
    def stated_facts(self) -> list[tuple[str, str, str]]: ...


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is printed: scored models, groups of blocked ones and their names, rules of a group, lines of
    other sections."""

    scored: int
    groups: int
    names: int
    rules: int
    reasons: bool
    lines: int


EVERYTHING = Detail(10**9, 10**9, 10**9, 10**9, reasons=True, lines=10**9)
GLANCES = (
    Detail(6, 6, 20, 2, reasons=True, lines=4),
    Detail(6, 6, 12, 2, reasons=False, lines=3),
    Detail(4, 4, 8, 1, reasons=False, lines=3),
    Detail(2, 1, 2, 1, reasons=False, lines=2),
)
"""From generous to terse; the first that fits into MOST_LINES is taken, and the last one always does."""


def explanation_text(explanation: Explained, *, full: bool = False) -> str:
    """The whole explanation; `full` lists every model, fact and step of the path."""
    if full:
        return "\n".join(_lines(explanation, EVERYTHING))
    for detail in GLANCES:
        lines = _lines(explanation, detail)
        if len(lines) <= MOST_LINES:
            break
    return "\n".join(lines)


def _lines(explanation: Explained, detail: Detail) -> list[str]:
    full = detail is EVERYTHING
    return [
        *_headline(explanation, detail),
        "",
        *_route(explanation, detail),
        *_scores(explanation, detail),
        *_blocked(explanation, detail),
        *_unused(explanation, full),
        *_watched(explanation, detail),
        *_cut(_facts(explanation, full), detail),
        *_cut(_path(explanation, full), detail),
    ]


def _cut(lines: Iterable[str], detail: Detail) -> list[str]:
    """No more lines than the detail allows; what is left out is said."""
    kept = list(lines)
    if len(kept) > detail.lines:
        kept = kept[: detail.lines]
        kept[-1] = f"{kept[-1][: WIDTH - 16]} ... (see --full)"
    return kept


def _headline(explanation: Explained, detail: Detail) -> Iterator[str]:
    model = explanation.model
    if model is None:
        yield "refused: no model is eligible for this task"
        return
    yield f"{visible(model.key)} ({visible(model.provider)}, {model.locality})"
    fallbacks = [f"{visible(other.key)} ({other.locality})" for other in explanation.chain[1:]]
    then = ", ".join(fallbacks) if fallbacks else "nothing: there is no fallback"
    yield from _cut(_section("then", [then]), detail)


def _route(explanation: Explained, detail: Detail) -> Iterator[str]:
    route = explanation.route
    if route is None:
        yield from _section("route", ["none matched, so any eligible model, best score first"])
        return
    yield from _cut(_section("route", [_named(route)]), detail)


def _scores(explanation: Explained, detail: Detail) -> Iterator[str]:
    chain = [candidate for candidate in explanation.candidates if candidate.score is not None]
    if not chain:
        return
    weigh = explanation.decision.weigh
    assert isinstance(weigh.effect, Weigh)
    weights = weigh.effect
    scored = chain[: detail.scored]
    wide = max(len(visible(candidate.model.key)) for candidate in scored)
    formula = f"total = cost x {weights.cost} + quality x {weights.quality} + latency x {weights.latency}"
    rows = [f"{'':{wide}}   {formula}  ({visible(weigh.name)}, {_place(weigh)})"]
    rows += [_score_row(candidate, wide) for candidate in scored]
    for candidate in scored:
        rows += _cache_price(candidate)
    if len(chain) > len(scored):
        rows.append(f"and {len(chain) - len(scored)} more")
    if explanation.tie_break:
        rows.append(f"tie: {visible(explanation.tie_break)}")
    yield from _section("score", rows, fold=False)


def _score_row(candidate: Candidate, wide: int) -> str:
    score = candidate.score
    assert score is not None
    parts = score.parts
    row = (
        f"{visible(candidate.model.key):{wide}} {_two(score.total):>7}   "
        f"{_two(parts.cost):>6} cost  {_two(parts.quality):>6} quality  {_two(parts.latency):>6} latency"
    )
    for rule, points in score.preferences:
        if is_cache_price(rule):
            continue
        row += f"  {'+' if points > 0 else '-'}{abs(points).normalize():f} {visible(rule.name)}"
    return row


def _cache_price(candidate: Candidate) -> Iterator[str]:
    """Both prices of a model that is priced by the cache of the session."""
    assert candidate.score is not None
    for rule, points in candidate.score.preferences:
        if is_cache_price(rule):
            sign = "+" if points > 0 else "-"
            yield f"{visible(candidate.model.key)} {sign}{abs(points).normalize():f} {rule.because}"


def _blocked(explanation: Explained, detail: Detail) -> Iterator[str]:
    blocked = [candidate for candidate in explanation.candidates if candidate.verdict == "blocked"]
    blocked.sort(key=lambda candidate: [rule.name for rule in candidate.blockers])
    groups = [
        (list(rules), [candidate.model.key for candidate in members])
        for rules, members in groupby(blocked, key=lambda candidate: candidate.blockers)
    ]
    rows = []
    for rules, members in groups[: detail.groups]:
        more = f" and {len(members) - detail.names} more" if len(members) > detail.names else ""
        rows.append(", ".join(map(visible, members[: detail.names])) + more)
        shown = rules[: detail.rules]
        rows += [f"  {_named(rule, reason=detail.reasons)}" for rule in shown]
        if len(rules) > len(shown):
            others = ", ".join(visible(rule.name) for rule in rules[len(shown) :][:4])
            others += ", ..." if len(rules) > len(shown) + 4 else ""
            rows.append(f"  and {len(rules) - len(shown)} more: {others}")
    if len(groups) > detail.groups:
        rows.append(f"and {sum(len(members) for _, members in groups[detail.groups :])} more models")
    yield from _section("blocked", rows)


def _unused(explanation: Explained, full: bool) -> Iterator[str]:
    unused = [
        visible(candidate.model.key) for candidate in explanation.candidates if candidate.verdict == "unused"
    ]
    if unused:
        shown = unused if full else unused[:8]
        more = f" and {len(unused) - len(shown)} more" if len(unused) > len(shown) else ""
        yield from _section("unused", [f"{', '.join(shown)}{more} (in no tier of the route)"])


def _watched(explanation: Explained, detail: Detail) -> Iterator[str]:
    rules = {rule.name: rule for candidate in explanation.candidates for rule in candidate.watched}
    rows = [f"{_named(rule, reason=False)} (would block, but is only watched)" for rule in rules.values()]
    yield from _cut(_section("watching", rows), detail)


def _facts(explanation: Explained, full: bool) -> Iterator[str]:
    stated = explanation.stated_facts
    rows = [
        f"{name} {visible(value)}" + (f" ({visible(source)})" if source else "")
        for name, value, source in stated
    ]
    if full:
        yield from _section("facts", rows)
    else:
        by_source = [
            f"{', '.join(f'{name} {visible(value)}' for name, value, _ in members)} ({visible(source)})"
            for source, members in groupby(stated, key=lambda fact: fact[2])
        ]
        yield from _section("facts", ["; ".join(by_source)])


def _path(explanation: Explained, full: bool) -> Iterator[str]:
    steps = [f"{visible(step.question.title)}: {visible(step.branch.label)}" for step in explanation.path]
    if full:
        yield from _section("path", steps or ["nothing is asked"])
        return
    # What everyone answers alike (nothing down, nothing spent) is left to --full.
    steps = [
        f"{visible(step.question.title)}: {visible(step.branch.label)}"
        for step in explanation.path
        if step.question.element is None or step.branch.label == "yes"
    ]
    if steps:
        yield from _section("path", [" > ".join(steps)])


def _section(title: str, rows: list[str], *, fold: bool = True) -> Iterator[str]:
    """`title` beside the first row, the others below it, long rows folded under themselves."""
    head = f"{title:{INDENT}}"
    for row in rows:
        deeper = len(row) - len(row.lstrip()) + 2
        folded = (
            wrap(
                row,
                WIDTH - INDENT,
                subsequent_indent=" " * deeper,
                break_long_words=False,
                break_on_hyphens=False,
            )
            if fold and len(row) > WIDTH - INDENT
            else [row]
        )
        for line in folded:
            yield f"{head}{line}".rstrip()
            head = " " * INDENT


def _named(rule: Rule, *, reason: bool = True) -> str:
    because = f': "{visible(rule.because)}"' if rule.because and reason else ""
    return f"{visible(rule.name)} ({_place(rule)}){because}"


def _place(rule: Rule) -> str:
    return f"{visible(rule.span.source.name)}:{rule.span.line}"


def _two(number: Decimal) -> str:
    return f"{round_half_up(Fraction(number), 2):.2f}"
