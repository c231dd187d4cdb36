"""A policy folder and a sound proposal -> the proposal in writing, for a person to look at: a branch of the
repository that the folder is in, or a folder of drafts below it.

The files in force are never touched, and nothing that is there already is written over.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.analysis.proposal import Draft, Proposal, propose
from engine.authoring import branches, draft_folders
from engine.authoring.errors import CannotSave
from engine.config.folder import read_folder
from engine.language.diagnostics import Level, Problems
from engine.policy import ConfigurationError

MOST_TITLE, MOST_REASON = 100, 10_000
"""Characters of the first line of a commit message, and of the rest."""


@dataclass(frozen=True, slots=True)
class Saved:
    """Where a proposal is: a branch and its commit, or a folder below the policy folder."""

    kind: Literal["branch", "folder"]
    name: str
    commit: str | None = None


def judged(folder: Path, draft: Draft) -> Proposal:
    """The judgement of a draft against the folder as it is now. Raises ConfigurationError for a folder that
    cannot be read whole: a guard in a file that is passed over would count for nothing."""
    problems = Problems()
    current = read_folder(folder, problems)
    for problem in problems:
        if problem.level is Level.ERROR:
            place = f"{problem.span.source.name}:{problem.span.line}"
            raise ConfigurationError(f"the folder cannot be read whole: {place}: {problem.message}", problems)
    assert current is not None, "there is no folder, and no error"
    return propose(current, draft)


def save(folder: Path, proposal: Proposal, title: str, reason: str = "") -> Saved:
    """Writes a sound proposal. Raises CannotSave for any other, and where it cannot be written."""
    if not proposal.is_sound:
        raise CannotSave(f"the proposal is not sound: {proposal.objections[0].text}")
    title = " ".join(_plain(title).split())[:MOST_TITLE]
    if not title:
        raise CannotSave("a proposal needs a title")
    base = branches.base_of(folder, proposal.current)
    name = _name(title, proposal, "" if base is None else base.commit)
    if base is None:
        return Saved("folder", draft_folders.write(folder, proposal, name))
    message = f"{title}\n\n{_plain(reason)[:MOST_REASON]}".strip() + "\n"
    branch, commit = branches.write(base, proposal, name, message)
    return Saved("branch", branch, commit)


def _plain(text: str) -> str:
    """The text without characters that a terminal would act on."""
    return "".join(each if each.isprintable() or each == "\n" else " " for each in text)


def _name(title: str, proposal: Proposal, commit: str) -> str:
    """A name for a branch or a folder that two different proposals do not share."""
    assert proposal.folder is not None, "it is sound"
    written = f"{proposal.folder.policy_digest} {proposal.folder.catalogue_digest} {commit}"
    words = re.sub(r"[^a-z0-9]+", "-", title.lower())[:40].strip("-")
    return f"{words or 'draft'}-{hashlib.sha256(written.encode()).hexdigest()[:8]}"
