"""The reports of a policy's tests and their coverage -> text, JSON and JUnit."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import wrap
from typing import Any
from xml.etree import ElementTree

from engine.analysis.coverage import ConditionCoverage, RuleCoverage
from engine.analysis.policy_tests import CaseReport
from engine.decision.fact_json import json_value
from engine.language.checked_policy import Forbid, Prefer, Require, Rule, Use, Weigh
from engine.language.diagnostics import visible
from engine.language.formatter import print_expectation, print_given

WIDTH = 110
INDENT = 14
MOST_BLOCKERS = 6
VERSION = 1
"""The version of the JSON form; see schemas/test-report.schema.json."""


# --- Text -----------------------------------------------------------------------------------------------


def report_text(reports: Sequence[CaseReport]) -> str:
    """One line a test; under each failed case the expected and the actual decision."""
    if not reports:
        return 'no tests: write `test "TITLE": given task.type is TYPE expect SELECTOR` in a .route file'
    lines = []
    tests = 0
    for test, cases in groupby(reports, key=lambda report: report.test):
        tests += 1
        failures = [report for report in cases if not report.passed]
        word = "FAILED" if failures else "passed"
        lines.append(f"{word}  {visible(test.title)} ({_place(test.span.source.name, test.span.line)})")
        for failure in failures:
            lines += _failure_lines(failure)
    failed = sum(not report.passed for report in reports)
    lines.append(
        f"{tests} test{'s' if tests != 1 else ''}, "
        f"{len(reports) - failed} case{'s' if len(reports) - failed != 1 else ''} passed, {failed} failed"
    )
    return "\n".join(lines)


def _place(file: str, line: int) -> str:
    return f"{visible(file)}:{line}"


def _failure_lines(report: CaseReport) -> Iterator[str]:
    span = report.case.span
    yield from _row(
        "given", f"{visible(print_given(report.written.given))}  ({_place(span.source.name, span.line)})"
    )
    yield from _row("expected", visible(expected(report)))
    yield from _row("decided", visible(decided(report)))
    if report.is_met:
        assert report.case.because is not None
        yield from _row("but", f"{report.case.because} did not matter here")
    yield from _blocked_lines(report)


def _blocked_lines(report: CaseReport) -> Iterator[str]:
    """The blocked models, those with the same guards together."""
    by_rules: dict[tuple[Rule, ...], list[str]] = {}
    for candidate in report.explanation.candidates:
        if candidate.blockers:
            by_rules.setdefault(candidate.blockers, []).append(visible(candidate.model.key))
    for rules, models in list(by_rules.items())[:MOST_BLOCKERS]:
        shown = ", ".join(map(_named, rules[:2]))
        more = f" and {len(rules) - 2} more" if len(rules) > 2 else ""
        yield from _row("blocked", f"{', '.join(models)} by {shown}{more}")


def _row(title: str, text: str) -> list[str]:
    return wrap(
        text,
        WIDTH,
        initial_indent=f"    {title:<{INDENT - 4}}",
        subsequent_indent=" " * INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _named(rule: Rule) -> str:
    return f"{visible(rule.name)} ({_place(rule.span.source.name, rule.span.line)})"


def expected(report: CaseReport) -> str:
    """The case's expectation, as the author would write it."""
    because = f" because {report.case.because}" if report.case.because else ""
    return print_expectation(report.written.expectation) + because


def decided(report: CaseReport) -> str:
    """The chain and the route."""
    chain = [f"{model.key} ({model.locality})" for model in report.explanation.chain]
    route = report.explanation.route
    taken = f"; route {route.name}" if route is not None else "; no route matched"
    return (", then ".join(chain) or "refused") + taken


# --- Coverage -------------------------------------------------------------------------------------------


def coverage_text(covered: Sequence[RuleCoverage]) -> str:
    """The sums, and a line for each rule and condition that is not covered."""
    lines = [_sums(covered)]
    for each in covered:
        rule = each.rule
        open_conditions = [condition for condition in each.conditions if not condition.is_covered]
        if each.is_covered and not open_conditions:
            continue
        place = _place(rule.span.source.name, rule.span.line)
        lines.append(f"{place:<22} {_keyword(rule)} {visible(rule.name)}: {_said_of(each)}")
        for condition in open_conditions:
            span = condition.span
            place = _place(span.source.name, span.line)
            lines.append(f"    {place:<22} {_written(condition)}: never {_missing(condition)}")
    return "\n".join(lines)


def _sums(covered: Sequence[RuleCoverage]) -> str:
    conditions = _distinct(covered)
    rules = f"{sum(each.is_covered for each in covered)} of {len(covered)} rules decided a case"
    both = sum(condition.is_covered for condition in conditions)
    return f"coverage: {rules}, {both} of {len(conditions)} conditions were seen both true and false"


def _distinct(covered: Iterable[RuleCoverage]) -> list[ConditionCoverage]:
    return list({condition.span: condition for each in covered for condition in each.conditions}.values())


def _said_of(each: RuleCoverage) -> str:
    if each.rule.watch:
        return f"on watch, would block in {_cases(each.mattered)}"
    if each.decided:
        return f"decided {_cases(each.decided)}"
    return f"decided no case, mattered in {_cases(each.mattered)}" if each.mattered else "no case needs it"


def _cases(count: int) -> str:
    return f"{count} case{'s' if count != 1 else ''}" if count else "no case"


def _keyword(rule: Rule) -> str:
    match rule.effect:
        case Forbid():
            return "forbid"
        case Require():
            return "require"
        case Prefer(_, points):
            return "prefer" if points > 0 else "avoid"
        case Weigh():
            return "weigh"
        case Use():
            return "route"


def _written(condition: ConditionCoverage) -> str:
    return visible(" ".join(condition.span.text.split()))


def _missing(condition: ConditionCoverage) -> str:
    if condition.was_true:
        return "false"
    return "true" if condition.was_false else "asked"


# --- JSON -----------------------------------------------------------------------------------------------


def report_json(reports: Sequence[CaseReport], covered: Sequence[RuleCoverage] | None) -> dict[str, Any]:
    """Every case as plain values (schemas/test-report.schema.json)."""
    result: dict[str, Any] = {
        "version": VERSION,
        "passed": sum(report.passed for report in reports),
        "failed": sum(not report.passed for report in reports),
        "cases": [_case_json(report) for report in reports],
    }
    if covered is not None:
        conditions = _distinct(covered)
        result["coverage"] = {
            "rules": {"all": len(covered), "decided": sum(each.is_covered for each in covered)},
            "conditions": {
                "all": len(conditions),
                "both": sum(condition.is_covered for condition in conditions),
            },
            "by_rule": [_rule_json(each) for each in covered],
        }
    return result


def _case_json(report: CaseReport) -> dict[str, Any]:
    explanation, span = report.explanation, report.case.span
    return {
        "test": report.test.title,
        "case": report.number,
        "file": span.source.name,
        "line": span.line,
        "given": {fact: json_value(value) for fact, value in report.case.given.items()},
        "expected": expected(report),
        "passed": report.passed,
        "met": report.is_met,
        "because": None
        if report.case.because is None
        else {"rule": report.case.because, "mattered": report.is_because},
        "decided": {
            "outcome": explanation.outcome,
            "chain": [model.key for model in explanation.chain],
            "route": None if explanation.route is None else explanation.route.name,
            "blocked": [
                {
                    "model": candidate.model.key,
                    "rules": [
                        {"rule": rule.name, "file": rule.span.source.name, "line": rule.span.line}
                        for rule in candidate.blockers
                    ],
                }
                for candidate in explanation.candidates
                if candidate.blockers
            ],
        },
    }


def _rule_json(each: RuleCoverage) -> dict[str, Any]:
    rule = each.rule
    return {
        "rule": rule.name,
        "file": rule.span.source.name,
        "line": rule.span.line,
        "watch": rule.watch,
        "decided": each.decided,
        "mattered": each.mattered,
        "conditions": [
            {
                "text": " ".join(condition.span.text.split()),
                "file": condition.span.source.name,
                "line": condition.span.line,
                "column": condition.span.column,
                "true": condition.was_true,
                "false": condition.was_false,
            }
            for condition in each.conditions
        ],
    }


# --- JUnit ----------------------------------------------------------------------------------------------


def junit(reports: Sequence[CaseReport]) -> str:
    """JUnit's XML as CI systems read it: one suite for each file, one test case for each case."""
    failed = sum(not report.passed for report in reports)
    top = ElementTree.Element(
        "testsuites", name="engine test", tests=str(len(reports)), failures=str(failed), errors="0", time="0"
    )
    for file, members in groupby(reports, key=lambda report: report.case.span.source.name):
        cases = list(members)
        suite = ElementTree.SubElement(
            top,
            "testsuite",
            name=visible(file),
            tests=str(len(cases)),
            failures=str(sum(not report.passed for report in cases)),
            errors="0",
            time="0",
        )
        for report in cases:
            _junit_case(suite, report)
    ElementTree.indent(top, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(top, encoding="unicode")


def _junit_case(suite: ElementTree.Element, report: CaseReport) -> None:
    span = report.case.span
    several = f" [{report.number}]" if len(report.test.cases) > 1 else ""
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=visible(span.source.name),
        name=visible(report.test.title) + several,
        file=visible(span.source.name),
        line=str(span.line),
        time="0",
    )
    if not report.passed:
        message = f"expected {visible(expected(report))}; decided {visible(decided(report))}"
        failure = ElementTree.SubElement(case, "failure", message=message, type="expectation")
        failure.text = "\n".join(["", *_failure_lines(report), ""])
