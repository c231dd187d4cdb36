"""Every lint rule against its own examples: the exact underlined text, silence where it must be silent,
fixes that mend."""

from __future__ import annotations

import pytest

from engine.analysis.lint_rule import Example, LintRule
from engine.analysis.lint_rules import BY_SLUG, RULES
from engine.analysis.linter import Report, fix, lint
from engine.config.folder import PolicyFolder, folder_in_memory
from engine.language.diagnostics import Level, Problems
from engine.language.rendering import render

by_slug = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.slug)
CAPPED = {"undecided-proof", "open-question"}
"""Findings about reaching a cap; they have tests of their own."""


def folder(example: Example) -> tuple[PolicyFolder, Problems]:
    problems = Problems()
    files = folder_in_memory(
        example.models, example.policies, {"main.route": example.text}, problems=problems
    )
    assert files is not None
    return files, problems


def linted(example: Example) -> Report:
    report = lint(*folder(example))
    told = "\n".join(render(finding) for finding in report.findings)
    assert report.context is not None, told
    return report


def of(rule: LintRule, report: Report) -> list[str]:
    """The author's own text under each finding (what looks like a key is blanked in the finding itself)."""
    assert report.context is not None
    texts = {source.name: source.text for source in report.context.sources}
    spans = [finding.span for finding in report.findings if finding.slug == rule.slug]
    return [texts[span.source.name][span.start : span.end] for span in spans]


@by_slug
def test_the_bad_example_is_underlined_exactly(rule: LintRule) -> None:
    """Each text the rule must point at, and no other."""
    assert rule.slug in CAPPED or rule.bad.underlined
    report = linted(rule.bad)
    assert of(rule, report) == list(rule.bad.underlined), "\n".join(render(each) for each in report.findings)
    assert {each.level for each in report.findings if each.slug == rule.slug} <= {rule.level}


@by_slug
def test_the_good_example_is_quiet(rule: LintRule) -> None:
    """The good example has no finding of the rule, and no error of any."""
    report = linted(rule.good)
    assert of(rule, report) == []
    assert [each.message for each in report.findings if each.level is Level.ERROR] == []


@by_slug
def test_the_near_miss_is_quiet(rule: LintRule) -> None:
    """What looks like the bad example and is none is left alone."""
    report = linted(rule.near_miss)
    assert of(rule, report) == [], "\n".join(render(each) for each in report.findings)


@by_slug
def test_every_sentence_reads_like_the_others(rule: LintRule) -> None:
    """Lower case, no full stop at the end, a help that says what to do."""
    for finding in linted(rule.bad).findings:
        if finding.slug == rule.slug:
            assert not finding.message.endswith(".")
            assert finding.message[0] == finding.message[0].lower()
            assert finding.help
            assert finding.help[0] == finding.help[0].lower() or finding.help[0] == "`"
    assert rule.why.endswith(".")
    assert not rule.summary.endswith(".")


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.fix], ids=lambda rule: rule.slug)
def test_a_fix_silences_its_finding_and_nothing_else_changes(rule: LintRule) -> None:
    """After the fix the finding is gone, and what is left of the file is the author's, byte for byte."""
    comment = "# kept: \u00e4\t \r\n"
    text = comment + rule.bad.text.replace("\n", "\n", 1) + "\n\n" + comment
    files, _ = folder(Example(text, (), rule.bad.models, rule.bad.policies))
    fixed = fix(files)
    assert fixed.count == len(rule.bad.underlined)
    after = fixed.texts["main.route"]
    rest = iter(text)
    assert all(character in rest for character in after), "something was added or moved"
    assert after.startswith(comment)
    assert after.endswith("\n" + comment)
    assert of(rule, linted(Example(after, (), rule.bad.models, rule.bad.policies))) == []


def test_slugs_are_those_of_the_files() -> None:
    """One file a rule, called as its slug."""
    names = {rule.slug.replace("-", "_") for rule in RULES}
    assert len(BY_SLUG) == len(RULES)
    assert all(rule.slug == rule.slug.lower() for rule in RULES)
    from pkgutil import iter_modules

    import engine.analysis.lint_rules as package

    assert names == {module.name for module in iter_modules(package.__path__)}
