"""A sound proposal -> one commit on a new branch of the repository that the policy folder is in.

Objects and one reference are written, by git's plumbing: no file of the working tree, no index and no branch
that is there already changes, and no hook runs.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.analysis.proposal import Proposal, texts_of
from engine.authoring.errors import CannotSave
from engine.config.folder import CATALOGUE, PolicyFolder, wanted_files
from engine.git import GitFailed, git

BRANCHES = "proposals/"
_AUTHOR = {
    "GIT_AUTHOR_NAME": "engine propose",
    "GIT_AUTHOR_EMAIL": "engine@localhost",
    "GIT_COMMITTER_NAME": "engine propose",
    "GIT_COMMITTER_EMAIL": "engine@localhost",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a tree, as git prints it: mode, type and object."""

    about: str

    @property
    def object(self) -> str:
        return self.about.split()[2]

    @property
    def is_file(self) -> bool:
        return self.about.startswith("100")


@dataclass(frozen=True, slots=True)
class Base:
    """The commit that a proposal stands on: the trees from the repository's root down to the policy folder,
    each with the name of the next."""

    folder: Path
    commit: str
    trees: tuple[Mapping[str, Entry], ...]
    names: tuple[str, ...]


def base_of(folder: Path, current: PolicyFolder) -> Base | None:
    """The last commit of the repository that the folder is in; None where it is in none, or not part of it.

    Raises CannotSave when the folder's files are others than in that commit: who looks at the branch would
    see changes that nobody has proposed.
    """
    if not _is_in_repository(folder):
        return None
    try:
        commit = _line(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except GitFailed:
        return None  # there is no commit yet
    names = tuple(part for part in _line(folder, "rev-parse", "--show-prefix").split("/") if part)
    trees = [_tree(folder, f"{commit}^{{tree}}")]
    for name in names:
        entry = trees[-1].get(name)
        if entry is None or not entry.about.startswith("040000"):
            return None
        trees.append(_tree(folder, entry.object))
    if CATALOGUE not in trees[-1]:
        return None
    _refuse_uncommitted(folder, trees[-1], current)
    return Base(folder, commit, tuple(trees), names)


def write(base: Base, proposal: Proposal, name: str, message: str) -> tuple[str, str]:
    """Writes the commit and its branch; their names. Raises CannotSave, also when the branch exists."""
    branch = f"{BRANCHES}{name}"
    try:
        tree = _written_tree(base, proposal)
        commit = _line(
            base.folder, "commit-tree", "-p", base.commit, tree, given=message.encode(), variables=_AUTHOR
        )
        # The empty old value: the branch must not be there.
        git(base.folder, "update-ref", "-m", "engine propose", f"refs/heads/{branch}", commit, "")
    except GitFailed as error:
        raise CannotSave(f"the branch {branch} cannot be made: {error}") from error
    return branch, commit


def _is_in_repository(folder: Path) -> bool:
    place = folder.absolute()
    if not any((above / ".git").exists() for above in (place, *place.parents)):
        return False
    try:
        return _line(folder, "rev-parse", "--is-inside-work-tree") == "true"
    except GitFailed as error:
        raise CannotSave(f"the repository of the folder cannot be read: {error}") from error


def _refuse_uncommitted(folder: Path, tree: Mapping[str, Entry], current: PolicyFolder) -> None:
    texts = texts_of(current)
    committed = {name for name in wanted_files(tree) if tree[name].is_file}
    changed = committed ^ texts.keys()
    for name in committed & texts.keys():
        text = git(folder, "cat-file", "blob", tree[name].object).decode("utf-8-sig", "replace")
        # A checkout may end its lines otherwise than the commit.
        if text.replace("\r\n", "\n") != texts[name].replace("\r\n", "\n"):
            changed.add(name)
    if changed:
        names = ", ".join(sorted(changed))
        raise CannotSave(f"the folder has changes that are not committed; commit them first: {names}")


def _written_tree(base: Base, proposal: Proposal) -> str:
    """The root tree with the proposal's files in it."""
    policy = dict(base.trees[-1])
    for name, text in proposal.changed.items():
        if text is None:
            del policy[name]
        else:
            written = _line(base.folder, "hash-object", "-w", "--stdin", given=text.encode())
            mode = policy[name].about.split()[0] if name in policy else "100644"
            policy[name] = Entry(f"{mode} blob {written}")
    tree = _make_tree(base.folder, policy)
    for name, above in zip(reversed(base.names), reversed(base.trees[:-1]), strict=True):
        tree = _make_tree(base.folder, {**above, name: Entry(f"040000 tree {tree}")})
    return tree


def _tree(folder: Path, tree: str) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for line in git(folder, "ls-tree", "-z", "--full-tree", tree).split(b"\0"):
        about, _, name = line.partition(b"\t")
        if name:
            entries[os.fsdecode(name)] = Entry(about.decode())
    return entries


def _make_tree(folder: Path, entries: Mapping[str, Entry]) -> str:
    lines = b"".join(
        entry.about.encode() + b"\t" + os.fsencode(name) + b"\0" for name, entry in entries.items()
    )
    return _line(folder, "mktree", "-z", "--missing", given=lines)


def _line(folder: Path, *words: str, given: bytes = b"", variables: Mapping[str, str] | None = None) -> str:
    return os.fsdecode(git(folder, *words, given=given, variables=variables)).rstrip("\n")
