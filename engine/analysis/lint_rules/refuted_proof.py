"""A proof that some task breaks."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import ERROR, Example, Finding, LintRule
from engine.language.diagnostics import visible


def check(context: LintContext) -> Iterator[Finding]:
    for answer in context.proofs:
        if answer.counterexample is not None:
            chain = ", ".join(visible(model.key) for model in answer.counterexample.decision.chain)
            decided = f"it is given {chain}" if chain else "it is refused"
            facts = context.witness(answer.counterexample.facts)
            yield Finding(
                answer.proof.name_span,
                f"`{answer.proof.name}` does not hold, for example for {facts}: {decided}",
                "change the rules, or the proof; `engine prove` prints the task as a test",
            )


RULE = LintRule(
    slug="refuted-proof",
    level=ERROR,
    summary="a proof that some task breaks",
    why="A proof is a promise about every task. One that is broken somewhere is worse than none, because "
    "it is believed.",
    bad=Example("prove stays: only local when task.labels has pii\n", ("stays",)),
    good=Example(
        "forbid f: cloud when task.labels has pii\nprove stays: only local when task.labels has pii\n"
    ),
    near_miss=Example("prove stays: only local when mode is local-only\n"),
    check=check,
)
