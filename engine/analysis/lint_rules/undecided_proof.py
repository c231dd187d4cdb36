"""A proof that the linter did not decide within its work."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule


def check(context: LintContext) -> Iterator[Finding]:
    for answer in context.proofs:
        if answer.verdict == "unknown":
            yield Finding(
                answer.proof.name_span,
                f"`{answer.proof.name}` is neither proved nor refuted: {answer.work:,} steps did not suffice",
                "run `engine prove --max-work N` with more, or split the proof",
            )


RULE = LintRule(
    slug="undecided-proof",
    level=WARNING,
    summary="a proof that reached the cap on work",
    why="Unknown is never success: what was not decided may be broken.",
    bad=Example("prove p: only local when mode is local-only\n"),
    good=Example("prove p: only local when mode is local-only\n"),
    near_miss=Example("prove p: only local when mode is local-only and task.labels has all [pii, secret]\n"),
    check=check,
)
