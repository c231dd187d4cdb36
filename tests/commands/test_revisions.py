"""A policy folder at a git revision: what is read, what is refused, and that nothing runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from engine.commands.revisions import Incomparable, Version, read_version
from tests.commands.test_lint import written

ROUTES = "forbid pii: cloud when task.labels has pii\n"
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(folder: Path, *words: str) -> str:
    about = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *about, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(repo: Path, message: str = "a change") -> str:
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", message)
    return git(repo, "rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a policy in `config`, committed once; the working directory."""
    repo = tmp_path / "repo"
    written(repo / "config", ROUTES)
    git(repo, "init", "-q", "-b", "main")
    commit(repo)
    monkeypatch.chdir(repo)
    return repo


def at(name: str, config: str | None = None) -> Version:
    return read_version(name, "HEAD", config)


def slugs(version: Version) -> list[str]:
    return [problem.slug for problem in version.problems]


def test_a_revision_is_what_was_committed(repo: Path) -> None:
    """Whatever lies in the working tree, and whichever part of it is there."""
    (repo / "config" / "main.route").write_text("nonsense")
    assert at("HEAD").commit == git(repo, "rev-parse", "HEAD")
    shutil.rmtree(repo / "config")
    version = at("HEAD", "config")
    assert version.files is not None
    assert [source.text for source in version.files.routes] == [ROUTES]
    assert (version.policy is not None, version.is_absent) == (True, False)


def test_links_submodules_and_large_files_are_problems(repo: Path) -> None:
    """As they are on the disk: a guard in a file that is not read protects no one."""
    config = repo / "config"
    (config / "link.route").symlink_to("/etc/passwd")
    (config / "large.route").write_bytes(b"#" * (1024 * 1024 + 1))
    (config / "deep.route").mkdir()
    (config / "deep.route" / "main.route").write_text(ROUTES)
    commit(repo)
    version = at("HEAD")
    assert version.policy is None
    assert slugs(version) == ["no-regular-file", "file-too-big", "no-regular-file"]


def test_a_folder_that_a_revision_does_not_have_is_absent(repo: Path) -> None:
    """It is no error: the folder may be new. Without models.yaml it is one."""
    assert at("HEAD", "elsewhere").is_absent
    git(repo, "rm", "-q", "config/models.yaml")
    commit(repo)
    version = at("HEAD", "config")
    assert (version.is_absent, slugs(version)) == (False, ["no-catalogue"])


def test_reading_runs_nothing_of_the_repository(repo: Path) -> None:
    """No hook, no filter, no configured program; neither the working tree nor the index is touched."""
    ran = repo.parent / "ran"
    program = repo.parent / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    program.chmod(0o755)
    (repo / ".gitattributes").write_text("*.route filter=evil diff=evil\n")
    (repo / "config" / "more.route").write_text("forbid more: cloud when task.type is qa\n")
    commit(repo)
    for key in ("filter.evil.smudge", "filter.evil.clean", "diff.evil.textconv", "core.fsmonitor"):
        git(repo, "config", key, str(program))
    git(repo, "config", "core.pager", str(program))
    hooks = repo / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc"):
        shutil.copy(program, hooks / name)
    before = {path: path.stat().st_mtime_ns for path in (repo, repo / "config", repo / ".git" / "index")}
    version = at("HEAD")
    assert version.files is not None
    assert len(version.files.routes) == 2
    assert not ran.exists()
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_folder_called_like_a_revision_is_refused(repo: Path) -> None:
    """Or the author of a change could put in the tree what it is compared with. `./NAME` means the folder."""
    first = git(repo, "rev-parse", "HEAD")
    for name in (first, "HEAD^0", "main"):
        written(repo / name, "# nothing is forbidden\n")
        with pytest.raises(Incomparable, match="is a folder and a git revision"):
            at(name)
        assert at(f"./{name}").commit is None


def test_what_is_neither_is_refused(repo: Path) -> None:
    """A word of git's command line is no revision, and outside a repository there is none."""
    for odd in ("no-such-revision", "--output=x", "-", "HEAD\n", "HEAD --", "a" * 40):
        with pytest.raises(Incomparable):
            at(odd)
    with pytest.raises(Incomparable, match="not a git repository"):
        at("HEAD", str(written(repo.parent / "apart", ROUTES)))


def test_without_a_policy_folder_no_other_repository_is_asked(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Least of all the one that the default folder travels in."""
    monkeypatch.chdir(repo.parent)
    with pytest.raises(Incomparable, match="name it by --config"):
        at("HEAD")
