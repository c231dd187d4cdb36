"""A policy before and after a change -> the one comment that a pull request needs.

The text depends on nothing but the two policies, the log and the limits of work: the same input gives the
same bytes. Its first line is hidden, and is how the comment is found again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.analysis.mutation import MutationReport
from engine.analysis.policy_checks import PolicyChecks
from engine.commands.compared import Compared
from engine.commands.diff_markdown import change_parts, command, table, verdict_text
from engine.commands.findings import path_in
from engine.commands.markdown import block, code, page
from engine.commands.mutation_formats import score_text
from engine.commands.revisions import Version
from engine.language.diagnostics import Level
from engine.language.rendering import render
from engine.language.source import Span

MARKER = "<!-- engine review"
CUT = "*The rest does not fit into a comment; `engine diff` shows all of it.*"
_MOST_LISTED = 10
_MOST_OF_A_PROBLEM = 4_000


@dataclass(frozen=True, slots=True)
class Review:
    """Both versions and, where both are policies, what is different. Checks are those of a version that is a
    policy."""

    old: Version
    new: Version
    old_checks: PolicyChecks | None
    new_checks: PolicyChecks | None
    result: Compared | None


def review_markdown(review: Review) -> str:
    """The comment."""
    return page(_parts(review), CUT)


def marker(folder: Path) -> str:
    """The first line of the comment on one policy folder."""
    shown = "".join(
        char if char.isalnum() or char in "/._-" else f"%{ord(char):x}" for char in path_in(folder, "")
    )
    return f"{MARKER} {shown[:200].replace('--', '%2d%2d')} -->"


def _parts(review: Review) -> Iterator[str]:
    result = review.result
    verdict = "not known" if result is None else result.verdict
    yield f"{marker(review.new.path)}\n## Policy review: {verdict}"
    if result is not None:
        yield verdict_text(result)
    yield from _broken(review)
    yield _compared(review)
    rows = list(_rows(review))
    if rows:
        yield table(rows)
    yield from _failures(review)
    if result is not None:
        yield from change_parts(result, review.new.path)


def _compared(review: Review) -> str:
    old, new = (
        code(version.name) + (f" ({code(version.commit[:12])})" if version.commit else "")
        for version in (review.old, review.new)
    )
    folder = f", policy folder {code(path_in(review.new.path, ''))}" if review.new.commit else ""
    return f"From {old} to {new}{folder}."


# --- A side that is no policy ---------------------------------------------------------------------------


def _broken(review: Review) -> Iterator[str]:
    for version, what in ((review.new, "after"), (review.old, "before")):
        if version.is_absent:
            yield f"**There is no policy folder {what} the change**, so nothing can be compared."
        elif version.policy is None:
            errors = [problem for problem in version.problems if problem.level is Level.ERROR]
            yield f"**The policy {what} the change has errors**, so nothing can be compared."
            for problem in errors[:_MOST_LISTED]:
                yield block(render(problem)[:_MOST_OF_A_PROBLEM].split("\n"))
            if len(errors) > _MOST_LISTED:
                yield f"And {len(errors) - _MOST_LISTED} errors more; `engine lint` shows all of them."


# --- Tests, proofs, mutation score ----------------------------------------------------------------------


def _rows(review: Review) -> Iterator[tuple[str, str, str]]:
    old, new = review.old_checks, review.new_checks
    if old is None and new is None:
        return
    yield "tests", _tests(old), _tests(new)
    yield "proofs", _proofs(old), _proofs(new)
    yield "mutation score", _score(old), _score(new)


def _tests(checks: PolicyChecks | None) -> str:
    if checks is None:
        return "-"
    run, left = len(checks.cases), checks.written - len(checks.cases)
    text = f"all {run} pass" if checks.passed == run else f"**{run - checks.passed} of {run} fail**"
    return "none" if not run else text + (f", {left} not run" if left else "")


def _proofs(checks: PolicyChecks | None) -> str:
    if checks is None:
        return "-"
    total, refuted, unknown = len(checks.proofs), checks.count("refuted"), checks.count("unknown")
    parts = [f"**{refuted} of {total} refuted**"] if refuted else []
    parts += [f"{unknown} of {total} not known"] if unknown else []
    return ", ".join(parts) or (f"all {total} hold" if total else "none")


def _score(checks: PolicyChecks | None) -> str:
    if checks is None:
        return "-"
    report = checks.mutation
    if report is None:
        return "not known"
    mattering = sum(report.count(fate) for fate in ("killed", "survived", "undecided"))
    return f"{score_text(report)}{_bound(report)}, {report.count('killed')} of {mattering} changes noticed"


def _bound(report: MutationReport) -> str:
    return " or more" if report.count("undecided") else ""


def _failures(review: Review) -> Iterator[str]:
    """What does not hold of the new policy, and whether that is new."""
    checks, policy = review.new_checks, review.new.policy
    if checks is None or policy is None:
        return
    failed = [case for case in checks.cases if not case.passed]
    refuted = [answer for answer in checks.proofs if answer.verdict == "refuted"]
    if failed or refuted:
        yield "### Tests and proofs that do not hold"
    before = _failed_before(review.old_checks)
    lines = [
        f"- test {code(case.test.title)}, case {case.number} ({_place(case.case.span)})"
        + (", as before" if (case.test.title, case.number) in before else "")
        for case in failed[:_MOST_LISTED]
    ]
    if len(failed) > _MOST_LISTED:
        lines.append(f"- and {len(failed) - _MOST_LISTED} more cases; `engine test` shows all of them")
    if lines:
        yield "\n".join(lines)
    for answer in refuted[:_MOST_LISTED]:
        also = ", as before" if (answer.proof.name, 0) in before else ""
        yield f"Proof {code(answer.proof.name)} ({_place(answer.proof.span)}){also} is refuted by:"
        assert answer.counterexample is not None
        yield command(answer.counterexample.given, policy.names, review.new.path)
    if len(refuted) > _MOST_LISTED:
        yield f"And {len(refuted) - _MOST_LISTED} more proofs; `engine prove` shows all of them."


def _failed_before(checks: PolicyChecks | None) -> set[tuple[str, int]]:
    """The cases and proofs (as case 0) that did not hold before."""
    if checks is None:
        return set()
    failed = {(case.test.title, case.number) for case in checks.cases if not case.passed}
    return failed | {(answer.proof.name, 0) for answer in checks.proofs if answer.verdict == "refuted"}


def _place(span: Span) -> str:
    return code(f"{span.source.name}:{span.line}")
