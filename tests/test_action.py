"""`action.yml`: its steps run by bash as a runner runs them, against a repository and a code host on
loopback."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.commands.fake_host import BOT, TOKEN, FakeHost, hosting
from tests.commands.test_lint import written
from tests.commands.test_revisions import commit, git

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
POLICY = "forbid pii: cloud when task.labels has pii\nroute r: use local, then cloud when task.type is code\n"
LOOSER = POLICY.replace("has pii", "has all [pii, secret]")

pytestmark = pytest.mark.skipif(
    shutil.which("git") is None or shutil.which("bash") is None, reason="needs git and bash"
)


@dataclass
class Job:
    """What a run of the action left: whether it succeeded, its outputs, summary and log."""

    code: int
    outputs: dict[str, str]
    summary: str
    log: str


class Runner:
    """Runs the steps of the action in a checkout, with what the action's `${{ }}` expressions stand for."""

    def __init__(self, checkout: Path, temp: Path, host: FakeHost) -> None:
        self.checkout, self._temp, self.host = checkout, temp, host
        engine = temp / "engine" / "bin" / "engine"
        engine.parent.mkdir(parents=True)
        engine.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m engine "$@"\n')
        engine.chmod(0o755)

    def run(self, **inputs: str) -> Job:
        context = {f"inputs.{name}": str(about["default"]) for name, about in ACTION["inputs"].items()}
        context |= {"inputs.token": TOKEN, "inputs.pull-request": "7"}
        context |= {f"inputs.{name.replace('_', '-')}": value for name, value in inputs.items()}
        files = {name: self._temp / name for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
        log, code = "", 0
        outputs: dict[str, str] = {}
        for file in files.values():
            file.write_text("")
        for step in ACTION["runs"]["steps"][1:]:
            if code or not self._is_wanted(step.get("if"), context):
                continue
            asked = {name: filled(str(value), context) for name, value in step["env"].items()}
            environment = self._environment() | {name: str(path) for name, path in files.items()} | asked
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=self.checkout,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            log, code = log + done.stdout + done.stderr, done.returncode
            lines = files["GITHUB_OUTPUT"].read_text().splitlines()
            outputs = dict(line.split("=", 1) for line in lines)
            context |= {f"steps.review.outputs.{name}": value for name, value in outputs.items()}
        return Job(code, outputs, files["GITHUB_STEP_SUMMARY"].read_text(), log)

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {
            **kept,
            "PYTHONPATH": str(ROOT),
            "RUNNER_TEMP": str(self._temp),
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_API_URL": self.host.url,
        }

    @staticmethod
    def _is_wanted(condition: str | None, context: dict[str, str]) -> bool:
        """Of conditions only what the action uses: inputs that are not a word, all of them."""
        parts = [] if condition is None else condition.split(" && ")
        pairs = [re.fullmatch(r"(inputs\.[\w-]+) != '(\w*)'", part) for part in parts]
        return all(pair is not None and context[pair[1]] != pair[2] for pair in pairs)


def filled(text: str, context: dict[str, str]) -> str:
    return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: context[found[1]], text)


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """A checkout as `pull_request` makes it, of a merge with its parents."""
    repo = tmp_path / "repo"
    written(repo / "config", POLICY)
    git(repo, "init", "-q", "-b", "main")
    commit(repo)
    with hosting() as host:
        yield Runner(repo, tmp_path / "temp", host)


def change(runner: Runner, text: str) -> None:
    """A pull request with one change, merged."""
    repo = runner.checkout
    git(repo, "checkout", "-q", "-b", "change")
    (repo / "config" / "main.route").write_text(text)
    commit(repo)
    git(repo, "checkout", "-q", "main")
    git(repo, "merge", "-q", "--no-ff", "-m", "merge", "change")


def test_no_script_holds_an_expression() -> None:
    """Inputs reach a script by its environment, so none can become part of it; each step names its shell."""
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"], step["name"]
        assert step["shell"] == "bash"
    with_token = [step["name"] for step in ACTION["runs"]["steps"] if "inputs.token" in str(step["env"])]
    assert with_token == ["Comment"]


def test_a_looser_change_fails_and_is_said_everywhere(runner: Runner) -> None:
    """In the comment, in the summary, at the line, and as an output."""
    change(runner, LOOSER)
    job = runner.run()
    assert (job.code, job.outputs["verdict"]) == (1, "looser")
    (comment,) = runner.host.comments[7]
    assert comment["body"].replace("\r\n", "\n") == job.summary == Path(job.outputs["file"]).read_text()
    assert job.summary.startswith("<!-- engine review config -->\n## Policy review: looser\n")
    assert "::error file=config/main.route,line=1," in job.log
    assert TOKEN not in job.log + job.summary


def test_the_comment_is_written_again_in_its_place(runner: Runner) -> None:
    """When the next push is the same again."""
    host = runner.host
    host.add(7, "<!-- engine review config -->\n## Policy review: looser\n", BOT)
    change(runner, POLICY + "# nothing\n")
    job = runner.run()
    assert (job.code, job.outputs["verdict"], len(host.comments[7])) == (0, "same", 1)
    assert "Policy review: same" in host.comments[7][0]["body"]


def test_a_token_that_may_not_write_leaves_the_summary(runner: Runner) -> None:
    """As a fork's: the verdict stands, and the log says why there is no comment; `always` fails."""
    runner.host.fault = 403, {}, b'{"message": "Resource not accessible by integration"}'
    job = runner.run(base="HEAD")
    assert (job.code, "## Policy review: same" in job.summary) == (0, True)
    assert "::warning::The comment could not be written" in job.log
    assert runner.run(base="HEAD", comment="always").code == 1
    runner.host.asked.clear()
    assert (runner.run(base="HEAD", comment="never").code, runner.host.asked) == (0, [])


def test_a_broken_policy_is_said_in_the_comment(runner: Runner) -> None:
    """And the job fails with 2; a revision that is not there fails it without one."""
    change(runner, "forbid x: clowd\n")
    job = runner.run()
    assert (job.code, job.outputs["verdict"], "::error" in job.log) == (2, "not-known", False)
    assert "clowd" in runner.host.comments[7][0]["body"]
    gone = runner.run(base="no-such-revision")
    assert (gone.code, gone.summary, "no-such-revision" in gone.log) == (2, "", True)


def test_a_fork_is_read_and_not_checked_out(runner: Runner, tmp_path: Path) -> None:
    """What docs/review.md shows for `pull_request_target`: objects are fetched, and no file is written."""
    change(runner, LOOSER)
    base = tmp_path / "base"
    git(runner.checkout, "update-ref", "refs/pull/7/merge", "main")
    git(tmp_path, "clone", "-q", f"file://{runner.checkout}", "base")
    git(base, "reset", "-q", "--hard", "HEAD^1")
    git(base, "fetch", "-q", "--no-tags", "--depth=2", "origin", "+refs/pull/7/merge:refs/review/merge")
    before = (base / "config" / "main.route").read_text()
    runner.checkout = base
    job = runner.run(base="refs/review/merge^1", head="refs/review/merge")
    assert (job.code, job.outputs["verdict"]) == (1, "looser")
    assert (base / "config" / "main.route").read_text() == before == POLICY
    assert git(base, "status", "--porcelain") == ""
