"""An explanation -> text that a person reads in one glance: 25 lines, or everything when asked.

Lines are plain; control characters of names and reasons are escaped, so that a policy cannot act on a terminal.
"""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING

from engine.decision.scoring import round_half_up
from engine.language.checked_policy import Rule, Weigh
from engine.language.diagnostics import visible

if TYPE_CHECKING:
    from engine.decision.explanation import Candidate, Explanation

WIDTH = 110
INDENT = 10
MOST_FALLBACKS = 5
MOST_BLOCKED = 6


def explanation_text(explanation: "Explanation", *, full: bool = False) -> str:
    """The whole explanation; `full` lists every model, fact and step of the path."""
    lines = [
        *_headline(explanation),
        "",
        *_route(explanation),
        *_scores(explanation, full),
        *_blocked(explanation, full),
        *_unused(explanation, full),
        *_watched(explanation),
        *_facts(explanation, full),
        *_path(explanation, full),
    ]
    return "\n".join(lines)


def _headline(explanation: "Explanation") -> Iterator[str]:
    model = explanation.model
    if model is None:
        yield "refused: no model is eligible for this task"
        return
    yield f"{visible(model.key)} ({visible(model.provider)}, {model.locality})"
    fallbacks = [f"{visible(other.key)} ({other.locality})" for other in explanation.chain[1:]]
    yield from _section("then", [", ".join(fallbacks) if fallbacks else "nothing: there is no fallback"])


def _route(explanation: "Explanation") -> Iterator[str]:
    route = explanation.route
    if route is None:
        yield from _section("route", ["none matched, so any eligible model, best score first"])
        return
    yield from _section("route", [_named(route)])


def _scores(explanation: "Explanation", full: bool) -> Iterator[str]:
    chain = [candidate for candidate in explanation.candidates if candidate.score is not None]
    if not chain:
        return
    weigh = explanation.decision.weigh
    assert isinstance(weigh.effect, Weigh)
    weights = weigh.effect
    shown = chain if full else chain[: MOST_FALLBACKS + 1]
    wide = max(len(visible(candidate.model.key)) for candidate in shown)
    formula = f"total = cost x {weights.cost} + quality x {weights.quality} + latency x {weights.latency}"
    rows = [f"{'':{wide}}   {formula}  ({visible(weigh.name)}, {_place(weigh)})"]
    rows += [_score_row(candidate, wide) for candidate in shown]
    if len(chain) > len(shown):
        rows.append(f"and {len(chain) - len(shown)} more")
    if explanation.tie_break:
        rows.append(f"tie: {visible(explanation.tie_break)}")
    yield from _section("score", rows, fold=False)


def _score_row(candidate: "Candidate", wide: int) -> str:
    score = candidate.score
    assert score is not None
    parts = score.parts
    row = (
        f"{visible(candidate.model.key):{wide}} {_two(score.total):>7}   "
        f"{_two(parts.cost):>6} cost  {_two(parts.quality):>6} quality  {_two(parts.latency):>6} latency"
    )
    for rule, points in score.preferences:
        row += f"  {'+' if points > 0 else '-'}{abs(points).normalize():f} {visible(rule.name)}"
    return row


def _blocked(explanation: "Explanation", full: bool) -> Iterator[str]:
    blocked = [candidate for candidate in explanation.candidates if candidate.verdict == "blocked"]
    blocked.sort(key=lambda candidate: [rule.name for rule in candidate.blockers])
    groups = [
        (list(rules), [candidate.model.key for candidate in members])
        for rules, members in groupby(blocked, key=lambda candidate: candidate.blockers)
    ]
    rows = []
    for rules, members in groups if full else groups[:MOST_BLOCKED]:
        rows.append(", ".join(map(visible, members)))
        shown = rules if full else rules[:2]
        rows += [f"  {_named(rule)}" for rule in shown]
        if len(rules) > len(shown):
            rows.append(
                f"  and {len(rules) - len(shown)} more: {', '.join(visible(rule.name) for rule in rules[2:])}"
            )
    if not full and len(groups) > MOST_BLOCKED:
        rows.append(f"and {sum(len(members) for _, members in groups[MOST_BLOCKED:])} more models")
    yield from _section("blocked", rows)


def _unused(explanation: "Explanation", full: bool) -> Iterator[str]:
    unused = [
        visible(candidate.model.key) for candidate in explanation.candidates if candidate.verdict == "unused"
    ]
    if unused:
        shown = unused if full else unused[:8]
        more = f" and {len(unused) - len(shown)} more" if len(unused) > len(shown) else ""
        yield from _section("unused", [f"{', '.join(shown)}{more} (in no tier of the route)"])


def _watched(explanation: "Explanation") -> Iterator[str]:
    rules = {rule.name: rule for candidate in explanation.candidates for rule in candidate.watched}
    yield from _section(
        "watching", [f"{_named(rule)} (would block, but is only watched)" for rule in rules.values()]
    )


def _facts(explanation: "Explanation", full: bool) -> Iterator[str]:
    told = explanation.told_facts
    rows = [
        f"{name} {visible(value)}" + (f" ({visible(source)})" if source else "")
        for name, value, source in told
    ]
    if full:
        yield from _section("facts", rows)
    else:
        by_source = [
            f"{', '.join(f'{name} {visible(value)}' for name, value, _ in members)} ({visible(source)})"
            for source, members in groupby(told, key=lambda fact: fact[2])
        ]
        yield from _section("facts", ["; ".join(by_source)])


def _path(explanation: "Explanation", full: bool) -> Iterator[str]:
    steps = [f"{visible(step.question.title)}: {visible(step.branch.label)}" for step in explanation.path]
    if full:
        yield from _section("path", steps or ["nothing is asked"])
        return
    # What everyone answers alike (nothing down, nothing spent) is left to --full.
    told = [
        f"{visible(step.question.title)}: {visible(step.branch.label)}"
        for step in explanation.path
        if step.question.element is None or step.branch.label == "yes"
    ]
    if told:
        yield from _section("path", [" > ".join(told)])


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


def _named(rule: Rule) -> str:
    because = f': "{visible(rule.because)}"' if rule.because else ""
    return f"{visible(rule.name)} ({_place(rule)}){because}"


def _place(rule: Rule) -> str:
    return f"{visible(rule.span.source.name)}:{rule.span.line}"


def _two(number: Decimal) -> str:
    return f"{round_half_up(Fraction(number), 2):.2f}"
