"""A sound proposal in writing: on a branch, or in a folder of drafts, and nowhere else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from engine.analysis.proposal import Draft, Proposal, propose
from engine.authoring.errors import CannotSave
from engine.authoring.saving import save
from engine.config.folder import read_folder
from engine.language.diagnostics import Problems
from tests.analysis.test_judgement import MODELS, POLICIES
from tests.analysis.test_proposal import ROUTES

STRICTER: Draft = {"b.route": "forbid h: cloud when task.type is code\n"}


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@localhost", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def policy_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, text in (("models.yaml", MODELS), ("policies.yaml", POLICIES), ("a.route", ROUTES)):
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    """A policy folder two levels below the root of a repository, with files of others beside it."""
    folder = policy_folder(tmp_path / "repository" / "etc" / "policy")
    (folder / "README.md").write_text("about it\n")
    root = tmp_path / "repository"
    (root / "main.py").write_text("print()\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return folder


def proposal_for(folder: Path, draft: Draft) -> Proposal:
    current = read_folder(folder, Problems())
    assert current is not None
    return propose(current, draft)


def snapshot(root: Path) -> dict[str, bytes]:
    """Every file but objects and references."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not {"objects", "refs", "logs"} & {*path.relative_to(root).parts}
    }


def test_a_proposal_is_one_commit_on_a_new_branch(committed: Path) -> None:
    """On top of the last commit, with the draft's file and nothing else in it."""
    saved = save(committed, proposal_for(committed, STRICTER), "code stays home", "asked for by Ann")
    assert saved.kind == "branch"
    assert saved.name.startswith("proposals/code-stays-home-")
    assert git(committed, "rev-parse", f"{saved.name}^") == git(committed, "rev-parse", "main")
    assert git(committed, "diff", "--name-status", "main", saved.name) == "A\tetc/policy/b.route"
    assert git(committed, "show", f"{saved.name}:etc/policy/b.route") == STRICTER["b.route"].strip()
    assert git(committed, "log", "-1", "--format=%an|%B", saved.name) == (
        "engine propose|code stays home\n\nasked for by Ann"
    )


def test_files_that_change_and_go_are_committed_so(committed: Path) -> None:
    """With the mode that they had; the others stay."""
    (committed / "c.route").write_text("let unneeded = cloud\n")
    (committed / "a.route").chmod(0o755)
    git(committed, "add", ".")
    git(committed, "commit", "-qm", "second")
    draft: Draft = {"c.route": None, "a.route": ROUTES + "forbid i: cloud when task.type is code\n"}
    saved = save(committed, proposal_for(committed, draft), "tidy")
    assert git(committed, "diff", "--name-status", "main", saved.name) == (
        "M\tetc/policy/a.route\nD\tetc/policy/c.route"
    )
    assert git(committed, "ls-tree", saved.name, "a.route").startswith("100755 blob")


def test_neither_work_tree_nor_index_nor_branch_changes_and_no_hook_runs(committed: Path) -> None:
    """Every hook there is would leave a file."""
    root = committed.parents[1]
    hooks = root / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("reference-transaction", "pre-commit", "post-commit", "commit-msg", "prepare-commit-msg"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {root}/ran-{name}\n")
        (hooks / name).chmod(0o755)
    before, head = snapshot(root), git(committed, "rev-parse", "main")
    save(committed, proposal_for(committed, STRICTER), "code stays home")
    assert snapshot(root) == before
    assert git(committed, "rev-parse", "main") == head


def test_variables_of_another_repository_do_not_lead_there(
    committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook of git sets them."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    before = snapshot(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    saved = save(committed, proposal_for(committed, STRICTER), "code stays home")
    monkeypatch.undo()
    assert git(committed, "rev-parse", saved.name) == saved.commit
    assert snapshot(other) == before


def test_a_branch_that_is_there_is_not_written_over(committed: Path) -> None:
    """The same proposal twice."""
    proposal = proposal_for(committed, STRICTER)
    saved = save(committed, proposal, "code stays home")
    with pytest.raises(CannotSave, match=rf"the branch {saved.name} cannot be made"):
        save(committed, proposal, "code stays home", "another reason")
    assert git(committed, "rev-parse", saved.name) == saved.commit


def test_changes_that_are_not_committed_are_not_carried_along(committed: Path) -> None:
    """They are somebody's own, and were never judged against the last commit."""
    (committed / "a.route").write_text(f"# mine\n{ROUTES}")
    (committed / "c.route").write_text("")
    with pytest.raises(CannotSave, match=r"not committed; commit them first: a\.route, c\.route$"):
        save(committed, proposal_for(committed, STRICTER), "x")
    assert git(committed, "branch", "--list", "proposals/*") == ""


def test_lines_that_end_otherwise_in_the_checkout_are_no_change(committed: Path) -> None:
    """As git leaves them on some machines."""
    (committed / "a.route").write_bytes(ROUTES.replace("\n", "\r\n").encode())
    assert save(committed, proposal_for(committed, STRICTER), "x").kind == "branch"


@pytest.mark.parametrize("repository", ["none", "without a commit", "that ignores the folder"])
def test_elsewhere_a_proposal_is_a_folder_of_drafts(repository: str, tmp_path: Path) -> None:
    """Whole, so that every command can be asked of it; the folder in force stays as it is."""
    folder = policy_folder(tmp_path / "policy")
    if repository != "none":
        git(tmp_path, "init", "-q", "-b", "main")
    if repository == "that ignores the folder":
        (tmp_path / ".gitignore").write_text("policy\n")
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", "first")
    saved = save(folder, proposal_for(folder, STRICTER), "code stays home")
    assert saved.kind == "folder"
    assert saved.name.startswith("drafts/code-stays-home-")
    assert {path.name for path in (folder / saved.name).iterdir()} == {
        "models.yaml",
        "policies.yaml",
        "a.route",
        "b.route",
    }
    assert proposal_for(folder, STRICTER).is_sound
    with pytest.raises(CannotSave, match="file exists"):
        save(folder, proposal_for(folder, STRICTER), "code stays home")


def test_no_draft_is_written_through_a_link(tmp_path: Path) -> None:
    """`drafts` leads out of the folder."""
    folder, outside = policy_folder(tmp_path / "policy"), tmp_path / "outside"
    outside.mkdir()
    (folder / "drafts").symlink_to(outside)
    with pytest.raises(CannotSave, match="cannot be written"):
        save(folder, proposal_for(folder, STRICTER), "x")
    assert list(outside.iterdir()) == []


def test_what_is_not_sound_is_not_written(committed: Path) -> None:
    """Whoever asks."""
    leaking: Draft = {"a.route": ROUTES.replace("has pii\n", "is empty\n")}
    with pytest.raises(CannotSave, match="`gpt` may get the task"):
        save(committed, proposal_for(committed, leaking), "harmless")
    assert git(committed, "branch", "--list", "proposals/*") == ""


def test_a_title_is_one_plain_line(committed: Path) -> None:
    """Whatever an agent puts into it."""
    title = "x\n\nCo-authored-by: you\x1b[2J\u202e" + "y" * 200
    saved = save(committed, proposal_for(committed, STRICTER), title)
    subject = git(committed, "log", "-1", "--format=%B", saved.name)
    assert subject.startswith("x Co-authored-by: you [2J yyy")
    assert "\n" not in subject
    assert len(subject) == 100
    with pytest.raises(CannotSave, match="needs a title"):
        save(committed, proposal_for(committed, STRICTER), " \n")


def test_only_git_itself_is_run(committed: Path, tmp_path: Path) -> None:
    """No program that the repository's configuration names."""
    ran = tmp_path / "ran"
    for key in ("core.fsmonitor", "core.pager", "core.editor", "filter.x.clean", "gpg.program"):
        git(committed, "config", key, f"touch {ran}")
    git(committed, "config", "commit.gpgSign", "true")
    (committed.parents[1] / ".git" / "info" / "attributes").write_text("* filter=x\n")
    assert save(committed, proposal_for(committed, STRICTER), "x").kind == "branch"
    assert not ran.exists()


def test_without_git_the_folder_of_drafts_is_used_only_where_there_is_no_repository(
    committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be asked is no permission to write elsewhere."""
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(CannotSave, match="git could not be asked"):
        save(committed, proposal_for(committed, STRICTER), "x")
    alone = policy_folder(tmp_path / "alone")
    assert save(alone, proposal_for(alone, STRICTER), "x").kind == "folder"
