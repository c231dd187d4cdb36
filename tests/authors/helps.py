"""Following the help: what every note proposes is done to the folder, and the result is judged.

What was meant is known here, because the mistake was made on purpose in a folder that was right: following
the help must not bring a new error, and the policy that comes of it must let no task out that the right one
kept.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.analysis.judgement import judge
from engine.language.diagnostics import Diagnostic, Level
from engine.policy import Policy
from tests.authors.folders import Folder

MOST_WORK = 200_000


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of following the help. `errors` are new ones, `leaks` what is let out now; `is_meant` when
    the folder is again as it was meant, and `is_open` when the judgement was not finished."""

    folder: Folder
    errors: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    is_meant: bool = False
    is_open: bool = False


def followed(meant: Folder, edited: Folder, found: Sequence[Diagnostic]) -> Followed | None:
    """Does what the help of every error says, all at once. None where no help proposes text."""
    fixes = [each.fix for each in found if each.fix is not None and each.level is Level.ERROR]
    if not fixes:
        return None
    files = dict(edited.files)
    for fix in sorted(fixes, key=lambda fix: fix.span.start, reverse=True):
        name, text = fix.span.source.name, files[fix.span.source.name]
        files[name] = text[: fix.span.start] + fix.text + text[fix.span.end :]
    result = Folder(edited.name, files)
    if _words(result) == _words(meant):
        return Followed(result, is_meant=True)
    policy, after = result.built()
    new = _new_errors(found, after)
    if policy is None:
        return Followed(result, new)
    old, _ = meant.built()
    assert old is not None
    if policy.checked == old.checked and policy.catalogue == old.catalogue:
        return Followed(result, new, is_meant=True)
    return Followed(result, new, *_judged(old, policy))


def _judged(old: Policy, new: Policy) -> tuple[tuple[str, ...], bool, bool]:
    judgement = judge(old, new, MOST_WORK)
    return tuple(change.text for change in judgement.leaks), False, judgement.leaks_undecided


def _words(folder: Folder) -> dict[str, list[str]]:
    return {name: re.findall(r"\w+|[^\w\s]", text) for name, text in folder.files.items()}


def _new_errors(before: Iterable[Diagnostic], after: Iterable[Diagnostic]) -> tuple[str, ...]:
    """The errors that were not there before; one that goes on being there was not proposed to go."""
    known = {(each.slug, each.span.text) for each in before if each.fix is None}
    return tuple(
        f"{each.span} {each.slug}: {each.message}"
        for each in after
        if each.level is Level.ERROR and (each.slug, each.span.text) not in known
    )
