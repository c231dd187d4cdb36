"""A policy folder -> everything worth telling its author: what reading it finds, and what asking about all
tasks finds.

Nothing here looks at the network, the environment or any file; nothing is written. A fix is a change of text
in memory, taken only when the policy still reads and the finding is gone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import LintRule
from engine.analysis.lint_rules import BY_SLUG, RULES, bad_suppression, open_question, unused_suppression
from engine.analysis.lint_rules.literal_secret import TOKEN
from engine.analysis.suppressions import Misuse, Suppression, read_suppressions
from engine.config.folder import PolicyFolder
from engine.language.diagnostics import Diagnostic, Level, Problems, Replacement, visible
from engine.language.source import Source
from engine.policy import build

_MOST_ROUNDS = 4
"""Times a folder is mended and looked at again: one fix can bring out the next finding."""

_NEVER_ALLOWED = {"bad-suppression", "unused-suppression", "literal-secret", "open-question"}
"""Findings that no comment can allow, beside the errors that leave a policy without meaning."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, in file and line order; `context` is None when the policy has errors that leave it
    without meaning."""

    findings: tuple[Diagnostic, ...]
    context: LintContext | None
    suppressed: int = 0

    @property
    def is_open(self) -> bool:
        """Whether something was not looked for to the end."""
        return self.context is not None and (
            bool(self.context.open_questions)
            or any(answer.verdict == "unknown" for answer in self.context.proofs)
        )


def lint(files: PolicyFolder | None, problems: Problems) -> Report:
    """Everything there is to say about a folder; `problems` holds what reading it has found."""
    policy = None if files is None else build(files, problems)
    if policy is None:
        return Report(_without_keys([*problems]), None)
    context = LintContext(policy)
    found = [*problems]
    for rule in RULES:
        if rule.check is not None:
            found += _escaped(rule.diagnostic(finding) for finding in rule.check(context))
    found += [open_question.RULE.diagnostic(finding) for finding in open_question.findings(context)]
    kept, suppressed = _suppress(found, context)
    everything = Problems()
    for finding in kept:
        everything.add(finding)
    return Report(_without_keys([*everything]), context, suppressed)


def _escaped(findings: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The findings with nothing in their sentences that a terminal would act on."""
    return [
        replace(each, message=visible(each.message), help=None if each.help is None else visible(each.help))
        for each in findings
    ]


def _suppress(found: list[Diagnostic], context: LintContext) -> tuple[list[Diagnostic], int]:
    """What is left after the author's allowances, and what is to be said of these."""
    allowances: list[Suppression] = []
    said: list[Diagnostic] = []
    allowable = [rule.slug for rule in RULES if rule.slug not in _NEVER_ALLOWED]
    for each in read_suppressions(context.policy.folder.routes, context.statements, allowable):
        match each:
            case Suppression():
                allowances.append(each)
            case Misuse():
                said.append(bad_suppression.RULE.diagnostic(bad_suppression.finding(each)))
    kept, used = [], set()
    for finding in found:
        covering = [number for number, each in enumerate(allowances) if each.covers(finding)]
        used.update(covering)
        if not covering:
            kept.append(finding)
    unused = [each for number, each in enumerate(allowances) if number not in used]
    said += [unused_suppression.RULE.diagnostic(unused_suppression.finding(each)) for each in unused]
    return kept + said, len(found) - len(kept)


def _without_keys(problems: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The findings, on sources in which whatever looks like a key is blanked: a snippet must not print it."""
    blanked: dict[int, Source] = {}

    def clean(source: Source) -> Source:
        found = blanked.get(id(source))
        if found is None:
            text = TOKEN.sub(lambda key: "*" * len(key[0]), source.text)
            found = blanked[id(source)] = source if text == source.text else Source(source.name, text)
        return found

    return tuple(
        replace(
            each,
            message=TOKEN.sub("***", each.message),
            help=None if each.help is None else TOKEN.sub("***", each.help),
            span=replace(each.span, source=clean(each.span.source)),
            notes=tuple(
                replace(note, span=replace(note.span, source=clean(note.span.source))) for note in each.notes
            ),
        )
        for each in problems
    )


# --- Fixing ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fixed:
    """The files that change, by name, with their whole new text, and how many findings went away."""

    texts: Mapping[str, str]
    count: int


def fix(files: PolicyFolder) -> Fixed:
    """The folder with every finding mended whose rule knows a safe way, checked by linting the result."""
    texts: dict[str, str] = {}
    count = 0
    for _ in range(_MOST_ROUNDS):
        report = lint(files, Problems())
        mended = _mend(files, report)
        if mended is None:
            break
        files, changed, gone = mended
        texts |= changed
        count += gone
    return Fixed(texts, count)


def _mend(files: PolicyFolder, report: Report) -> tuple[PolicyFolder, dict[str, str], int] | None:
    if report.context is None:
        return None
    for slug in sorted({finding.slug for finding in report.findings}):
        rule = BY_SLUG.get(slug)
        if rule is None or rule.fix is None:
            continue
        findings = [finding for finding in report.findings if finding.slug == slug]
        for batch in (findings, *([finding] for finding in findings)):
            done = _try(files, report.context, rule, batch, report)
            if done is not None:
                return done
    return None


def _try(
    files: PolicyFolder, context: LintContext, rule: LintRule, batch: list[Diagnostic], before: Report
) -> tuple[PolicyFolder, dict[str, str], int] | None:
    """The edits of some findings at once; None unless every one of these is gone and no new error is
    there."""
    assert rule.fix is not None
    edits = [edit for finding in batch for edit in rule.fix(context, finding)]
    changed = edited({source.name: source.text for source in files.routes}, edits)
    if not changed:
        return None
    routes = tuple(Source(source.name, changed.get(source.name, source.text)) for source in files.routes)
    candidate = replace(files, routes=routes)
    after = lint(candidate, Problems())
    left = sum(finding.slug == rule.slug for finding in after.findings)
    had = sum(finding.slug == rule.slug for finding in before.findings)
    errors = [sum(each.level is Level.ERROR for each in report.findings) for report in (before, after)]
    if after.context is None or left > had - len(batch) or errors[1] > errors[0]:
        return None
    return candidate, changed, had - left


def edited(texts: Mapping[str, str], edits: Iterable[Replacement]) -> dict[str, str]:
    """The texts that some edits change; of edits that overlap the first in the text is taken."""
    changed: dict[str, str] = {}
    by_name: dict[str, list[Replacement]] = {}
    for edit in edits:
        by_name.setdefault(edit.span.source.name, []).append(edit)
    for name, mine in by_name.items():
        if name not in texts:
            continue
        text, end = texts[name], len(texts[name]) + 1
        for edit in sorted(mine, key=lambda edit: edit.span.start, reverse=True):
            if edit.span.end <= end:
                text = text[: edit.span.start] + edit.text + text[edit.span.end :]
                end = edit.span.start
        if text != texts[name]:
            changed[name] = text
    return changed
