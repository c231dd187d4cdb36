"""A proof about what follows a call that can never be."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule


def check(context: LintContext) -> Iterator[Finding]:
    for proof in context.policy.checked.proofs:
        if proof.after is not None and context.none_precedes(proof):
            yield Finding(
                proof.after.span,
                f"`{proof.name}` speaks of no session: no call ever satisfies what stands behind `after`",
                "change the condition",
            )


RULE = LintRule(
    slug="nothing-precedes",
    level=WARNING,
    summary="an `after` that no call ever satisfies",
    why="The proof is proved, and says nothing.",
    bad=Example(
        "language 1.1\nprove p: never cloud after task.criticality is low and task.criticality is high\n",
        ("task.criticality is low and task.criticality is high",),
    ),
    good=Example(
        "language 1.1\nforbid f: cloud when session.labels has pii\n"
        "prove p: never cloud after task.labels has pii\n"
    ),
    near_miss=Example("language 1.1\nprove p: never any after session.calls is 0 when session.calls > 5\n"),
    check=check,
)
