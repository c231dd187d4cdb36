"""A policy folder and a draft of changes to it -> whether the draft may be taken unasked, and every reason
why not.

A draft is taken when it reads, has no lint error, passes its tests and proofs and those of the folder, keeps
the folder's, and neither lets more out nor spends more (`judgement`). What the work allowed did not decide
counts against it. Nothing is read and nothing is written here, and nothing outside the two is looked at.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from engine.analysis.judgement import MOST_WORK, Change, Judgement, judge
from engine.analysis.lint_rules import refuted_proof
from engine.analysis.linter import lint
from engine.analysis.objection import Kind, Objection
from engine.analysis.promises import broken_promises
from engine.config.folder import (
    BASE,
    CATALOGUE,
    MOST_BYTES_TOGETHER,
    SETTINGS,
    PolicyFolder,
    folder_in_memory,
)
from engine.config.yaml_source import MOST_BYTES
from engine.language.diagnostics import Diagnostic, Level, Problems, visible
from engine.policy import build

Draft: TypeAlias = Mapping[str, str | None]
"""The whole new text of files, by their name in the folder; None for a file that goes."""

MOST_FILES = 1000
_ROUTE_FILE = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,100}\.route")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A draft and what is said against it.

    `current` is the folder in force, `folder` is it as it would be, None where the draft has no files that
    can be read as one; `changed` are the files in which it differs. `findings` are lint's, errors included.
    """

    current: PolicyFolder
    folder: PolicyFolder | None
    changed: Draft
    objections: tuple[Objection, ...]
    findings: tuple[Diagnostic, ...] = ()
    judgement: Judgement | None = None

    @property
    def is_sound(self) -> bool:
        """Whether it may be taken unasked."""
        return not self.objections


def propose(current: PolicyFolder, draft: Draft, most_work: int = MOST_WORK) -> Proposal:
    """The judgement of a draft, with everything that speaks against it."""
    texts = texts_of(current)
    changed = {name: text for name, text in draft.items() if texts.get(name) != text}
    refused = (
        *unfit_files(current, draft),
        *([] if changed else [_objection("draft", "it changes nothing")]),
    )
    if refused:
        return Proposal(current, None, changed, refused)
    problems = Problems()
    old = build(current, problems)
    if old is None:
        first = next(_error(each) for each in problems if each.level is Level.ERROR)
        text = f"the folder itself has errors, and is mended by hand: {first.text}"
        return Proposal(current, None, changed, (Objection("policy", text),))
    problems = Problems()
    folder = drafted(current, draft, problems)
    report = lint(folder, problems)
    # What a proof comes to is said below, with the task that shows it.
    errors = tuple(
        _error(finding)
        for finding in report.findings
        if finding.level is Level.ERROR and finding.slug != refuted_proof.RULE.slug
    )
    if report.context is None:
        return Proposal(current, folder, changed, errors, report.findings)
    new = report.context.policy
    judgement = judge(old, new, most_work)
    objections = (*errors, *_judged(judgement), *broken_promises(old, new))
    return Proposal(current, folder, changed, objections, report.findings, judgement)


def texts_of(folder: PolicyFolder) -> dict[str, str]:
    """The author's files by name."""
    files = (folder.models, *([folder.policies] if folder.policies else []), *folder.routes)
    return {source.name: source.text for source in files}


def drafted(current: PolicyFolder, draft: Draft, problems: Problems) -> PolicyFolder | None:
    """The folder with a draft over it. None when it cannot be used, and the problems say why."""
    texts = {name: text for name, text in {**texts_of(current), **draft}.items() if text is not None}
    models, policies = texts.pop(CATALOGUE, None), texts.pop(SETTINGS, None)
    folder = folder_in_memory(models or "", policies, texts, problems=problems, name=current.name)
    # Its base is the one in force: no draft replaces the engine's own guards.
    return None if folder is None else replace(folder, base=current.base)


def unfit_files(current: PolicyFolder, draft: Draft) -> Iterator[Objection]:
    """Files that no draft may have: other than those of a policy folder, too many, or too big."""
    known = texts_of(current)
    folded = {name.casefold(): name for name in known}
    for name, text in draft.items():
        if text is None and name not in known:
            yield _objection("draft", f"there is no file {name!r} that could go")
        elif name not in known and name != SETTINGS and not _is_route_file(name):
            yield _objection("draft", f"{name!r} is no name of a policy file: {_NAMES}")
        elif folded.setdefault(name.casefold(), name) != name:
            yield _objection("draft", f"{name} and {folded[name.casefold()]} differ in case only")
        elif text is None and name == CATALOGUE:
            yield _objection("draft", "a folder without models.yaml is no policy folder")
        elif text is not None and len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
            yield _objection("draft", f"{name} is larger than {MOST_BYTES:,} bytes")
        elif text is not None and any("\ud800" <= character <= "\udfff" for character in text):
            yield _objection("draft", f"{name} is no text: it has half a character")
    merged = {**known, **draft}
    if len(merged) > MOST_FILES:
        yield _objection("draft", f"a folder has at most {MOST_FILES:,} files")
    if sum(len(text) for text in merged.values() if text is not None) > MOST_BYTES_TOGETHER:
        yield _objection("draft", f"the files together are larger than {MOST_BYTES_TOGETHER:,} bytes")


_NAMES = "models.yaml, policies.yaml, and NAME.route of letters, digits, dots, dashes and underscores"


def _is_route_file(name: str) -> bool:
    return _ROUTE_FILE.fullmatch(name) is not None and name.casefold() != BASE


def _error(finding: Diagnostic) -> Objection:
    help = "" if finding.help is None else f" ({finding.help})"
    place = f"{finding.span.source.name}:{finding.span.line}"
    return _objection("policy", f"{place}: {finding.message}{help}")


def _judged(judgement: Judgement) -> Iterator[Objection]:
    kinds: tuple[tuple[Kind, tuple[Change, ...]], ...] = (
        ("leak", judgement.leaks),
        ("spending", judgement.spending),
    )
    for kind, changes in kinds:
        for change in changes:
            yield Objection(kind, visible(change.text), change.given, change.before, change.after)
    yield from (_objection("unknown", text) for text in judgement.undecided)


def _objection(kind: Kind, text: str) -> Objection:
    return Objection(kind, visible(text))
