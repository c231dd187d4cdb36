"""A proof about no task at all."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule


def check(context: LintContext) -> Iterator[Finding]:
    for answer in context.proofs:
        if answer.vacuous and not (answer.proof.after and context.none_precedes(answer.proof)):
            yield Finding(
                answer.proof.name_span,
                f"`{answer.proof.name}` speaks of no task: its condition can never hold",
                "change the condition",
            )


RULE = LintRule(
    slug="vacuous-proof",
    level=WARNING,
    summary="a proof whose condition can never hold",
    why="It is proved, and says nothing.",
    bad=Example("prove p: never cloud when task.criticality is low and task.criticality is high\n", ("p",)),
    good=Example("prove p: never cloud when mode is local-only and task.criticality is high\n"),
    near_miss=Example("prove p: never any when task.context_size > 128k\n"),
    check=check,
)
