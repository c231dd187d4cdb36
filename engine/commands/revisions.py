"""The name of a policy folder, or of a git revision of one -> its files in memory, and where they stand.

Of a revision only plain files of the policy folder are read, as objects of the repository: no hook, filter or
configured program of it runs, nothing is checked out, nothing is fetched and the index is not looked at. So
the branch of a stranger can be read like any other text.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.bundled import bundled_path
from engine.config.folder import (
    CATALOGUE,
    MOST_BYTES_TOGETHER,
    PolicyFolder,
    folder_in_memory,
    read_folder,
    wanted_files,
    warn_of_overlooked,
)
from engine.config.messages import folder as messages
from engine.config.overlooked import MOST_BYTES_PEEKED, may_hold_policy, report_if_policy
from engine.config.yaml_source import MOST_BYTES
from engine.errors import EngineError
from engine.git import GitFailed, git
from engine.language.diagnostics import Problems
from engine.language.source import Source
from engine.policy import Policy, build, find_folder


class Incomparable(EngineError):  # noqa: N818 - what the user reads is the message
    """A side of a comparison that is neither a folder nor a revision that can be read."""


@dataclass(frozen=True, slots=True)
class Version:
    """A policy folder as it is on disk, or as it was at a revision.

    `name` is what the user wrote, `commit` the revision's full hash, `path` where the files lie in the
    working tree. `files` and `policy` are None where the problems say why; `is_absent` when the revision has
    no such folder at all.
    """

    name: str
    commit: str | None
    path: Path
    files: PolicyFolder | None
    policy: Policy | None
    problems: Problems
    is_absent: bool = False


def read_version(name: str, other: str, config: str | None) -> Version:
    """One side of a comparison with `other`; a revision is of the other side when that is a folder, else of
    the policy folder in force (`config`, ENGINE_CONFIG_DIR, `./config`, `./policies`).

    Raises Incomparable when there is no such folder and no such revision, or when there are both.
    """
    problems = Problems()
    if Path(name).is_dir():
        _refuse_revision_of_that_name(name, other, config)
        files = read_folder(name, problems)
        policy = None if files is None else build(files, problems)
        return Version(name, None, Path(name), files, policy, problems)
    return _at_revision(name, _folder_of(name, other, config), problems)


def _refuse_revision_of_that_name(name: str, other: str, config: str | None) -> None:
    """Whoever writes a branch can name a folder in it like the revision that it is compared with."""
    try:
        inside = _nearest(_folder_of(name, other, config))
        _git(inside, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except Incomparable:
        return
    raise Incomparable(
        f"{name!r} is a folder and a git revision: write ./{name} for the folder, or the whole hash from "
        "another folder for the revision"
    )


def _folder_of(name: str, other: str, config: str | None) -> Path:
    if config is None and Path(other).is_dir():
        return Path(other)
    folder = find_folder(config, os.environ.get("ENGINE_CONFIG_DIR"))
    if folder == bundled_path("policies", "default"):
        if ":" in name:
            return Path()
        raise Incomparable("there is no policy folder here that a revision could be of: name it by --config")
    return folder


# --- A revision -----------------------------------------------------------------------------------------


def _at_revision(name: str, folder: Path, problems: Problems) -> Version:
    revision, colon, path = name.partition(":")
    if not revision or revision.startswith("-"):
        raise Incomparable(f"{name!r} is neither a folder nor a git revision")
    inside = _nearest(folder)
    commit = _commit(inside, revision)
    if colon:
        place = Path(_line(inside, "rev-parse", "--show-toplevel")) / path
    else:
        place = folder
        rest = Path(os.path.abspath(folder)).relative_to(os.path.abspath(inside)).as_posix()
        path = _line(inside, "rev-parse", "--show-prefix") + ("" if rest == "." else rest)
    tree = f"{commit}:{path.rstrip('/')}"
    kind = _kind(inside, tree)
    if kind != "tree":
        return Version(name, commit, place, None, None, problems, is_absent=True)
    data = _files(inside, tree, problems)
    if CATALOGUE not in data:
        problems.add(messages.no_catalogue(Source(path, "").span(0, 0), None))
        return Version(name, commit, place, None, None, problems)
    files = folder_in_memory(
        data[CATALOGUE],
        data.get("policies.yaml"),
        {file: text for file, text in data.items() if file.endswith(".route")},
        problems=problems,
        name=f"{name}:{path.rstrip('/')}" if not colon else name,
    )
    policy = None if files is None else build(files, problems)
    return Version(name, commit, place, files, policy, problems)


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest above it that is on the disk."""
    place = Path(os.path.abspath(folder))
    return next(each for each in (place, *place.parents) if each.is_dir())


def _commit(inside: Path, revision: str) -> str:
    try:
        return _line(inside, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except Incomparable:
        pass
    _git(inside, "rev-parse", "--git-dir")
    raise Incomparable(
        f"git knows no revision {revision!r} here (a shallow clone does not have every one: fetch it first)"
    )


def _kind(inside: Path, tree: str) -> str | None:
    """What git has at a path of a commit; None for nothing."""
    try:
        return _line(inside, "cat-file", "-t", tree)
    except Incomparable:
        return None


def _files(inside: Path, tree: str, problems: Problems) -> Mapping[str, bytes]:
    """Every file of a policy folder by name. What is no plain file is left out, and a problem says so."""
    entries: dict[str, tuple[str, str, int]] = {}
    for entry in _git(inside, "ls-tree", "-l", "-z", "--full-tree", tree).split(b"\0"):
        about, _, raw = entry.partition(b"\t")
        if raw:
            mode, _, identity, size = about.decode().split()
            entries[os.fsdecode(raw)] = mode, identity, 0 if size == "-" else int(size)
    wanted = {name: entries[name] for name in wanted_files(entries)}
    reported = {*_overlooked(inside, {name: entries[name] for name in {*entries} - {*wanted}}, problems)}
    warn_of_overlooked([name for name in entries if name not in reported], problems)
    files: dict[str, bytes] = {}
    if sum(size for _, _, size in wanted.values()) > MOST_BYTES_TOGETHER:
        problems.add(messages.folder_too_big(Source(tree, "").span(0, 0), MOST_BYTES_TOGETHER))
        return files
    for name, (mode, identity, bytes_long) in wanted.items():
        place = Source(name, "").span(0, 0)
        if not mode.startswith("100"):
            kind = {"120000": "a link", "160000": "a submodule"}.get(mode, "a folder")
            problems.add(messages.no_regular_file(kind, place))
        elif bytes_long > MOST_BYTES:
            files[name] = bytes(MOST_BYTES + 1)  # refused as too big without being read
        else:
            files[name] = _git(inside, "cat-file", "blob", identity)
    return files


def _overlooked(
    inside: Path, entries: Mapping[str, tuple[str, str, int]], problems: Problems
) -> Iterator[str]:
    """The files of a folder that hold rules or settings and are not read, each reported."""
    for name, (mode, identity, bytes_long) in entries.items():
        if mode.startswith("100") and bytes_long <= MOST_BYTES_PEEKED and may_hold_policy(name):
            text = _git(inside, "cat-file", "blob", identity).decode("utf-8", "replace")
            if report_if_policy(name, text, problems):
                yield name


def _line(inside: Path, *words: str) -> str:
    return os.fsdecode(_git(inside, *words)).rstrip("\n")


def _git(inside: Path, *words: str) -> bytes:
    try:
        return git(inside, *words)
    except GitFailed as error:
        raise Incomparable(str(error)) from error
