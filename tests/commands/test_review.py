"""`engine review`: the verdict and what stands beside it, exit codes, broken sides, and that nothing a
stranger writes does anything in the comment."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import polars as pl
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from engine.analysis.lint_rule import MODELS, POLICIES
from engine.commands.explain_command import explain_command
from engine.commands.markdown import MOST_BYTES, code, page
from engine.language.diagnostics import Problems
from engine.policy import load, load_or_raise
from tests.commands.running import Ran, Shell
from tests.commands.test_lint import written
from tests.commands.test_revisions import commit, git
from tests.replay import worlds

OLD = """\
forbid pii: cloud when task.labels has pii
route r: use local, then cloud when task.type is code
test "pii stays": given task.type is qa, task.labels has pii expect only local
prove home: never cloud when task.labels has pii
"""


def sections(text: str) -> dict[str, str]:
    """The comment by its headings."""
    parts = re.split(r"^#{2,3} (.*)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return written(tmp_path / "old", OLD)


def reviewed(shell: Shell, old: Path, new: Path, *words: str) -> Ran:
    return shell("review", str(old), str(new), *words)


CHANGES = {
    "comment": ("same", 0, OLD + "# nothing\n"),
    "weakened": ("looser", 1, OLD.replace("has pii\nroute", "has all [pii, secret]\nroute")),
    "strengthened": ("stricter", 0, OLD.replace("has pii\nroute", "has any [pii, secret]\nroute")),
    "order": ("same", 0, OLD.replace("use local, then cloud", "use cloud, then local")),
    "renamed": ("same", 0, OLD.replace("forbid pii", "forbid personal")),
}


@pytest.mark.parametrize(("verdict", "code", "text"), CHANGES.values(), ids=CHANGES.keys())
def test_the_verdict_comes_first(
    shell: Shell, tmp_path: Path, old: Path, verdict: str, code: int, text: str
) -> None:
    """Looser is 1, anything that lets no more out is 0; the first line is hidden and says whose comment it
    is."""
    ran = reviewed(shell, old, written(tmp_path / "new", text))
    lines = ran.out.splitlines()
    assert (ran.code, lines[1]) == (code, f"## Policy review: {verdict}")
    assert re.fullmatch(r"<!-- engine review \S+ -->", lines[0])


def test_the_same_input_gives_the_same_bytes(shell: Shell, tmp_path: Path, old: Path) -> None:
    """So that a comment is updated only when something changed."""
    new = written(tmp_path / "new", CHANGES["weakened"][2])
    assert reviewed(shell, old, new).out == reviewed(shell, old, new).out


def test_money_is_told_apart(shell: Shell, tmp_path: Path, old: Path) -> None:
    """A raised limit and tasks that go to the cloud first let nothing out, and fail only where that is asked
    for."""
    budgets = POLICIES.replace("1000", "10")
    old = written(tmp_path / "dear", OLD, policies=budgets)
    new = written(tmp_path / "dearer", OLD, policies=budgets.replace("10", "20"))
    ran = reviewed(shell, old, new)
    assert (ran.code, reviewed(shell, old, new, "--fail-on", "costlier").code) == (0, 1)
    assert "## Policy review: same\n" in ran.out
    assert "**More may be spent.**" in ran.out
    assert "the daily limit is higher, $20 instead of $10" in sections(ran.out)["What may be spent"]
    moved = written(tmp_path / "moved", CHANGES["order"][2])
    assert "`gpt` comes first for this task, where `small` did" in reviewed(shell, old, moved).out


def test_tests_proofs_and_mutation_score_before_and_after(shell: Shell, tmp_path: Path, old: Path) -> None:
    """What fails is named, with the task that refutes a proof."""
    ran = reviewed(shell, old, written(tmp_path / "new", CHANGES["weakened"][2]))
    assert "| tests | all 1 pass | **1 of 1 fail** |" in ran.out
    assert "| proofs | all 1 hold | **1 of 1 refuted** |" in ran.out
    assert re.search(r"\| mutation score \| \d+%, \d+ of \d+ changes noticed \| \d+%, ", ran.out)
    failed = sections(ran.out)["Tests and proofs that do not hold"]
    assert "test `pii stays`, case 1 (`main.route:3`)" in failed
    assert "Proof `home` (`main.route:4`) is refuted by:" in failed
    assert "type=qa labels=pii" in failed


def test_every_task_that_moves_can_be_explained(
    shell: Shell, tmp_path: Path, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines of the comment are commands, and what they explain is what it says."""
    new = written(tmp_path / "config", CHANGES["weakened"][2])
    monkeypatch.chdir(tmp_path)
    ran = reviewed(shell, old, new)
    commands = re.findall(r"^engine (explain .*)$", ran.out, re.MULTILINE)
    assert len(commands) >= 3
    for line in commands:
        words = shlex.split(line)
        assert "gpt" in shell(*words, "--format", "json").json["chain"], line
        assert "gpt" not in shell(*words, "--format", "json", "--config", str(old)).json["chain"], line


def test_what_the_recorded_log_would_have_cost(shell: Shell, tmp_path: Path) -> None:
    """Dollars, refusals and moves are those of `engine diff --log`."""
    tighter = worlds.ROUTES.replace("has any [pii, secret]", "has any [pii, secret, open]")
    old, new = worlds.write_folder(tmp_path / "a"), worlds.write_folder(tmp_path / "b", routes=tighter)
    pl.DataFrame(worlds.as_log(worlds.rows(300, seed=5))).write_csv(tmp_path / "log.csv")
    words = ("--log", str(tmp_path / "log.csv"), "--max-work", "20000")
    told = shell("diff", str(old), str(new), *words, "--format", "json").json["log"]
    log = sections(reviewed(shell, old, new, *words).out)["On the recorded log"]
    assert "300 tasks of `log.csv`" in log
    assert f"| refused | {told['refused_old']:,} | {told['refused_new']:,} |" in log
    assert f"{told['moved']['rows']:,} of them move" in log
    assert f"`${float(told['usd_old']):,.2f}`" in log


# --- Sides that are no policy -----------------------------------------------------------------------------


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    repo = tmp_path / "repo"
    written(repo / "config", OLD)
    git(repo, "init", "-q", "-b", "main")
    commit(repo)
    monkeypatch.chdir(repo)
    return repo


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_broken_policy_is_said_in_the_comment(shell: Shell, repo: Path) -> None:
    """2 when the new one has errors, 4 when the old one had them; with what can be said of the other."""
    (repo / "config" / "main.route").write_text("forbid pii: clowd\n")
    commit(repo)
    ran = shell("review", "HEAD^1", "HEAD")
    assert (ran.code, ran.out.splitlines()[1]) == (2, "## Policy review: not known")
    assert "**The policy after the change has errors**" in ran.out
    assert "clowd" in ran.out
    assert "| tests | all 1 pass | - |" in ran.out
    mended = shell("review", "HEAD", "HEAD^1")
    assert (mended.code, "**The policy before the change has errors**" in mended.out) == (4, True)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_folder_that_comes_or_goes_is_said_in_the_comment(shell: Shell, repo: Path) -> None:
    """Nothing can be compared with a policy that is not there."""
    git(repo, "rm", "-qr", "config")
    (repo / "other").write_text("x")
    commit(repo)
    ran = shell("review", "HEAD^1", "HEAD", "--config", "config")
    assert (ran.code, "no policy folder after the change" in ran.out) == (2, True)
    ran = shell("review", "HEAD", "HEAD^1", "--config", "config")
    assert (ran.code, "no policy folder before the change" in ran.out) == (4, True)
    assert shell("review", "HEAD", "HEAD", "--config", "config").code == 2


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_revisions_are_named_with_their_commit(shell: Shell, repo: Path) -> None:
    """And the folder is named as a path of the repository."""
    head = git(repo, "rev-parse", "HEAD")[:12]
    ran = shell("review", "HEAD", "main")
    assert ran.out.startswith("<!-- engine review config -->\n")
    assert f"From `HEAD` (`{head}`) to `main` (`{head}`), policy folder `config`." in ran.out


def test_a_cap_that_is_reached_is_not_known(shell: Shell, tmp_path: Path, old: Path) -> None:
    """4, and the comment says what was not looked at."""
    new = written(tmp_path / "new", CHANGES["weakened"][2])
    ran = reviewed(shell, old, new, "--max-work", "3")
    assert (ran.code, ran.out.splitlines()[1]) == (4, "## Policy review: not known")
    assert "| 1 of 1 not known |" in ran.out
    assert "steps did not suffice" in sections(ran.out)["Not known"]


# --- Strangers --------------------------------------------------------------------------------------------

HOSTILE = (
    "`",
    "``x``` `",
    "a|b",
    "<script>alert(1)</script>",
    "</details><img src=x onerror=alert(1)>",
    "@everyone",
    "::error file=x::y",
    "[text](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "https://evil.example",
    "--> <b>",
    "#1",
    "$x$",
    "a,b",
    " c ",
    "$(touch x)`touch y`'\"\\",
    "*a* _b_ ~c~",
    "&lt;b&gt; &#64;x",
)
UNSEEN = ("two\nlines\n\n# heading", "\r\n::warning::x", "\u2028line", "\u202egpj.exe", "\x1b]0;x\x07")
"""No policy is without errors that holds one of these."""


def hostile_policy(folder: Path, guard: str) -> Path:
    """Names that a stranger may choose: of models, labels, types, modes, tests and files."""

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    models = "".join(
        f"      - {{id: {quoted(name)}, capabilities: [qa], max_context: 8000, quality_tier: high, "
        "latency_tier: low, tools: yes, cost_profile: {type: paid, input_per_1m: 2, output_per_1m: 3}}\n"
        for name in HOSTILE
    )
    labels = ", ".join(map(quoted, HOSTILE))
    routes = f'forbid g: cloud when {guard}\ntest "@a `b` <i> | c": given task.type is qa expect refused\n'
    policies = POLICIES.replace("labels: [pii, secret]", f"labels: [pii, {labels}]")
    return written(folder, routes, MODELS + models, policies)


def tokens_of(text: str) -> list[Token]:
    """What a renderer of CommonMark and tables makes of a page, as GitHub is one; links are found in text,
    too."""
    parser = MarkdownIt("commonmark").enable("table")
    return [inner for token in parser.parse(text) for inner in (token, *(token.children or ()))]


@pytest.mark.parametrize("format", ["review", "diff", "broken"])
def test_nothing_a_stranger_writes_does_anything(shell: Shell, tmp_path: Path, format: str) -> None:
    """Names stand in code or nowhere: no HTML but ours, no link, image, heading, mention or emphasis of
    theirs."""
    old = hostile_policy(tmp_path / "old", "task.type is qa")
    new = hostile_policy(tmp_path / "new", "task.type is qa and not task.labels has pii")
    if format == "broken":
        for number, name in enumerate((*HOSTILE, *UNSEEN)):
            text = f'forbid g{number}: "{name}\n```\n<b>\n'
            (new / f"main{number}.route").write_text(text, encoding="utf-8")
    words = ("diff",) if format == "diff" else ("review",)
    ran = shell(*words, str(old), str(new), *(["--format", "markdown"] if format == "diff" else []))
    assert ran.code == (2 if format == "broken" else 1), ran.err
    ours = re.compile(r"(<!-- engine review \S+ -->|</?details>|<details><summary>[a-z0-9:, ]+</summary>)\s*")
    for token in tokens_of(ran.out):
        assert token.type not in ("link_open", "image", "em_open", "s_open"), token
        if token.type in ("html_block", "html_inline"):
            assert ours.fullmatch(token.content), token
        if token.type == "text":
            assert not re.search(r"[@<>|`#$\\]|::|https?:|evil|onerror", token.content), token
    assert not re.search(r"^::", ran.out, re.MULTILINE)
    assert not set(ran.out) & set("\u2028\u202e\x1b\r")


def test_a_workflow_command_cannot_be_injected(shell: Shell, tmp_path: Path) -> None:
    """Every line of `--format github` is a command of ours with one message; SARIF has no links."""
    old = hostile_policy(tmp_path / "old", "task.type is qa")
    new = hostile_policy(tmp_path / "new", "task.type is qa and not task.labels has pii")
    ran = shell("diff", str(old), str(new), "--format", "github")
    assert ran.out
    for line in ran.out.splitlines():
        assert re.fullmatch(
            r"::(error|warning|notice) file=[^:]*,line=\d+[^:]*,title=[a-z-]+::[^\r\n]*", line
        )
    told = shell("diff", str(old), str(new), "--format", "sarif").json
    assert told["runs"][0]["tool"]["driver"]["name"] == "engine diff"
    assert not [found for found in told["runs"][0]["results"] if "[text](" in found["message"]["text"]]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_task_of_any_name_can_be_pasted(shell: Shell, tmp_path: Path, name: str) -> None:
    """One line, which a shell takes apart into the task as it was; JSON where a command line cannot hold
    it."""
    policy = load_or_raise(hostile_policy(tmp_path / "config", "task.type is qa"))
    given = {"task.type": "qa", "task.labels": frozenset({name, "pii"})}
    line = explain_command(given, policy.names)
    assert line.isprintable()
    if line.startswith("printf"):
        import json

        facts = json.loads(shlex.split(line)[2])
        assert (facts["task.type"], set(facts["task.labels"])) == ("qa", given["task.labels"])
    else:
        explained = shell(*shlex.split(line)[1:], "--config", str(tmp_path / "config"), "--format", "json")
        assert set(explained.json["facts"]["task.labels"]["value"]) == given["task.labels"]


@pytest.mark.parametrize("text", [*HOSTILE, *UNSEEN, "", " ", "`` ` ``", "a" * 1000])
def test_code_shows_what_it_is_given(text: str) -> None:
    """A code span reads back as the text, with what cannot be seen written out, and cut when it is long."""
    (token,) = MarkdownIt("commonmark").parseInline(f"x {code(text)} y")
    inner = [child for child in token.children or () if child.type == "code_inline"]
    assert len(inner) == 1
    assert len(inner[0].content) <= 200


def test_a_comment_never_exceeds_what_the_host_takes(shell: Shell, tmp_path: Path) -> None:
    """Whole parts are left out at the end, and the last line says so."""
    text = page(["# first", *(f"part {number} " + "ü" * 2_000 for number in range(40))], "*cut*")
    assert len(text.encode()) <= MOST_BYTES
    assert text.startswith("# first\n\npart 0 ")
    assert text.endswith("\n\n*cut*\n")
    assert page(["a", "b"], "*cut*") == "a\n\nb\n"
    labels = ", ".join(f"label-{'x' * 60}-{number}" for number in range(300))
    policies = POLICIES.replace("labels: [pii, secret]", f"labels: [pii, secret, {labels}]")
    routes = "".join(
        f"forbid g{n}: cloud when task.labels has label-{'x' * 60}-{n} and task.type is qa\n"
        for n in range(60)
    )
    old = written(tmp_path / "old", routes, policies=policies)
    new = written(tmp_path / "new", "# nothing\n", policies=policies)
    ran = reviewed(shell, old, new)
    assert (ran.code, len(ran.out.encode()) <= MOST_BYTES) == (1, True)
    assert ran.out.count("<details>") == ran.out.count("</details>")


def test_hostile_names_are_read_as_they_are_written(tmp_path: Path) -> None:
    """The policies of these tests are sound, or they would show nothing."""
    problems = Problems()
    policy = load(hostile_policy(tmp_path, "task.type is qa"), problems)
    assert policy is not None, [problem.message for problem in problems]
    assert {model.key for model in policy.catalogue.models} >= set(HOSTILE)


def test_a_policy_of_many_models_says_what_was_not_tried(shell: Shell, tmp_path: Path) -> None:
    """The score is not known, and what can be known at once is: a comment changes nothing."""
    more = "".join(
        f"      - {{id: m{n}, capabilities: [qa], max_context: {8000 + n}, quality_tier: high, "
        "latency_tier: low, tools: yes, cost_profile: {type: paid, input_per_1m: 2, output_per_1m: 3}}\n"
        for n in range(120)
    )
    old, new = (
        written(tmp_path / name, OLD + comment, MODELS + more)
        for name, comment in (("a", ""), ("b", "# nothing\n"))
    )
    ran = reviewed(shell, old, new, "--max-work", "20000")
    assert (ran.code, "## Policy review: same\n" in ran.out) == (0, True)
    assert "| mutation score | not known | not known |" in ran.out
    assert "No task is decided differently." in ran.out
