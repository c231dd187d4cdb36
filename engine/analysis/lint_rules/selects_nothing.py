"""A guard or preference whose selector no model of the catalogue meets."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule


def check(context: LintContext) -> Iterator[Finding]:
    for index in context.reachability.selecting_nothing:
        rule = context.compiled.rules[index]
        yield Finding(
            context.selector_span(rule),
            f"no model of models.yaml is selected here, so `{rule.name}` does nothing",
            "write what some model has",
        )


RULE = LintRule(
    slug="selects-nothing",
    level=WARNING,
    summary="a guard or preference that selects no model",
    why="It protects or favours nobody. Often a model was renamed, or a quality was misjudged.",
    bad=Example(
        "forbid f: local and model.quality is very_high when task.type is qa\n",
        ("local and model.quality is very_high",),
    ),
    good=Example("forbid f: cloud and model.quality is very_high when task.type is qa\n"),
    near_miss=Example("forbid f: task.context_size > model.max_context and small when task.type is qa\n"),
    check=check,
)
