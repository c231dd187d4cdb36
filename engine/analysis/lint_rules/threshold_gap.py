"""`< 8k` here and `> 8k` there: 8k itself is forgotten."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule
from engine.decision.facts import format_value
from engine.language.checked_policy import Compare, Condition, Not, children
from engine.language.diagnostics import Note
from engine.language.vocabulary import FACTS

_OPPOSITE = {"<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def check(context: LintContext) -> Iterator[Finding]:
    below: dict[tuple[str, str], Compare] = {}
    above: dict[tuple[str, str], Compare] = {}
    at: set[tuple[str, str]] = set()
    for _, rule in context.rules:
        for test, order in comparisons(rule.condition):
            key = test.subject, format_value(test.value)
            if order == "<":
                below.setdefault(key, test)
            elif order == ">":
                above.setdefault(key, test)
            else:
                at.add(key)
    for key in below.keys() & above.keys() - at:
        _, value = key
        first, second = sorted(
            (below[key], above[key]), key=lambda test: (test.span.source.name, test.span.start)
        )
        yield Finding(
            second.span,
            f"`{first.span.text}` and `{second.span.text}` both leave out {value} itself",
            "write `<=` or `>=` in one of the two places",
            (Note(first.span, "the other one"),),
        )


def comparisons(condition: Condition, negated: bool = False) -> Iterator[tuple[Compare, str]]:
    """Every comparison of a number fact with a constant, and how it reads once each `not` is worked in."""
    pending = [(condition, negated)]
    while pending:
        node, turned = pending.pop()
        if isinstance(node, Compare) and node.subject in FACTS:
            yield node, _OPPOSITE.get(node.order, node.order) if turned else node.order
        pending += [(part, turned is not isinstance(node, Not)) for part in reversed(children(node))]


RULE = LintRule(
    slug="threshold-gap",
    level=WARNING,
    summary="two comparisons that both leave out the constant itself",
    why="Whoever writes `< 8k` in one rule and `> 8k` in another means to divide all tasks; the one at 8k "
    "falls between.",
    bad=Example(
        "route a: use local, then cloud when task.context_size < 8k\n"
        "route b: use any when task.context_size > 8k\n",
        ("task.context_size > 8k",),
    ),
    good=Example(
        "route a: use local, then cloud when task.context_size < 8k\n"
        "route b: use any when task.context_size >= 8k\n"
    ),
    near_miss=Example(
        "route a: use local, then cloud when task.context_size < 8k\n"
        "route b: use any when not task.context_size < 8k\n"
    ),
    check=check,
)
