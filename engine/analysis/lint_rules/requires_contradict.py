"""Requires that together leave no model, whatever the task."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import ERROR, Example, Finding, LintRule
from engine.language.diagnostics import Note


def check(context: LintContext) -> Iterator[Finding]:
    rules = dict(context.rules)
    for each in context.reachability.contradictions:
        rule = rules[each.require]
        if each.earlier is None:
            message = f"no model meets `{rule.name}`, so every task it applies to is refused"
            yield Finding(rule.name_span, message, "write what some model of models.yaml has")
            continue
        before = rules[each.earlier]
        message = (
            f"no model meets both `{before.name}` and `{rule.name}`: every task of one of them is refused"
        )
        note = Note(before.name_span, "contradicts this")
        yield Finding(rule.name_span, message, "let one of the two give way", (note,))


RULE = LintRule(
    slug="requires-contradict",
    level=ERROR,
    summary="requires that no model can meet together",
    why="A require takes every other model away. Two that agree on no model refuse every task they apply to.",
    bad=Example("require a: local\nrequire b: model.quality is very_high when task.type is code\n", ("b",)),
    good=Example(
        "require a: local when task.type is qa\n"
        "require b: model.quality is very_high when task.type is code\n"
    ),
    near_miss=Example("require a: local\nrequire b: model.quality >= high when task.type is code\n"),
    check=check,
)
