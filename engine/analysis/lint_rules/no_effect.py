"""A guard, route or weigh without which every decision would be the same."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import INFO, WARNING, Example, Finding, LintRule
from engine.language.checked_policy import Forbid, Require


def check(context: LintContext) -> Iterator[Finding]:
    for index, why in sorted(context.reachability.without_effect.items()):
        rule = context.compiled.rules[index]
        message = f"no decision would change without `{rule.name}`"
        # A second line of defence is no mistake; that it is one is worth knowing.
        match why:
            case "rules":
                yield Finding(rule.name_span, message, "take it away, or make it say what it was meant to")
            case "routes":
                help = "keep it if it is there in case a route changes"
                yield Finding(
                    rule.name_span, f"{message}: no route offers what it takes away", help, level=INFO
                )
            case "catalogue":
                is_guard = isinstance(rule.effect, Forbid | Require)
                reason = (
                    "every model of models.yaml meets it"
                    if is_guard
                    else "today's scores give the same order"
                )
                help = "keep it if it is there for models to come"
                yield Finding(rule.name_span, f"{message}: {reason}", help, level=INFO)


RULE = LintRule(
    slug="no-effect",
    level=WARNING,
    summary="a guard, route or weigh that changes no decision",
    why="Other rules already do all it does. Whoever changes those will not know that this one was leaned "
    "on, or that it never was.",
    bad=Example(
        "forbid a: cloud when task.labels has pii\nforbid b: gpt when task.labels has all [pii, secret]\n",
        ("b",),
    ),
    good=Example("forbid a: cloud when task.labels has pii\n"),
    near_miss=Example(
        "forbid a: cloud when task.labels has pii\nforbid b: gpt when task.labels has secret\n"
    ),
    check=check,
)
