"""A model of the catalogue that no task can ever get."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule
from engine.language.diagnostics import visible


def check(context: LintContext) -> Iterator[Finding]:
    for index, model in enumerate(context.compiled.models):
        if model.price is None:
            continue  # `no-price` has said so
        if context.find("unused-model", [context.chains.in_chain(index)]) is None:
            yield Finding(
                model.span,
                f"no task can get `{visible(model.key)}`, neither first nor as a fallback",
                "let a route select it, loosen the guard in its way, or take it out",
            )


RULE = LintRule(
    slug="unused-model",
    level=WARNING,
    summary="a model that no task can ever get",
    why="It is paid for, or kept loaded, for nothing; or a rule is stricter than was meant.",
    bad=Example("forbid f: model.quality is low\n", ("small",)),
    good=Example("forbid f: model.quality is low when task.criticality >= high\n"),
    near_miss=Example("route r: use big, then cloud when task.criticality >= medium\n"),
    check=check,
)
