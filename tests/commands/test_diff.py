"""`engine diff`: exposure, regions, names that one side alone knows, git revisions, exit codes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine.analysis.lint_rule import MODELS, POLICIES
from engine.cli import main
from tests.commands.running import valid
from tests.commands.test_lint import written
from tests.replay import worlds

DEFAULT = Path(__file__).parents[2] / "policies" / "default"
OLD = "forbid pii: cloud when task.labels has pii\nroute r: use local, then cloud when task.type is code\n"


def diff(capsys: pytest.CaptureFixture[str], old: Path, new: Path, *words: str) -> tuple[int, dict[str, Any]]:
    code = main(["diff", str(old), str(new), "--format", "json", *words])
    told: dict[str, Any] = valid("diff", json.loads(capsys.readouterr().out))
    return code, told


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return written(tmp_path / "old", OLD)


CHANGES = {
    "comment": ("equivalent", 0, OLD + "# nothing\n"),
    "guard-narrowed": ("looser", 1, OLD.replace("has pii", "has all [pii, secret]")),
    "guard-widened": ("stricter", 1, OLD.replace("has pii", "has any [pii, secret]")),
    "guard-moved": ("mixed", 2, OLD.replace("has pii", "has secret")),
    "route-turned": ("equivalent", 1, OLD.replace("use local, then cloud", "use cloud, then local")),
    "route-ends-sooner": ("stricter", 1, OLD.replace("use local, then cloud", "use local")),
    "local-only-matter": ("equivalent", 1, OLD + "forbid small: small when task.type is qa\n"),
    "watched": ("equivalent", 0, OLD + "forbid trial (watch): cloud\n"),
}


@pytest.mark.parametrize(("exposure", "least", "text"), CHANGES.values(), ids=CHANGES.keys())
def test_exposure(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, old: Path, exposure: str, least: int, text: str
) -> None:
    """Looser is a cloud model in a chain that did not have it; order and local models never are."""
    new = written(tmp_path / "new", text)
    code, told = diff(capsys, old, new)
    assert (code, told["exposure"], told["complete"]) == (exposure in ("looser", "mixed"), exposure, True)
    assert len(told["regions"]) >= least
    assert told["different"] is bool(least)
    assert diff(capsys, old, new, "--fail-on", "looser")[0] == code
    assert diff(capsys, old, new, "--fail-on", "never")[0] == 0
    assert diff(capsys, old, new, "--fail-on", "any")[0] == bool(least)


def test_money_is_told_apart_from_leaks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, old: Path
) -> None:
    """Tasks that go to the cloud first are named with one of them, and fail where that is asked for."""
    new = written(tmp_path / "new", OLD.replace("use local, then cloud", "use cloud, then local"))
    code, told = diff(capsys, old, new)
    (change,) = told["judgement"]["spending"]
    assert (code, told["judgement"]["lets_more_out"], told["judgement"]["leaks"]) == (0, False, [])
    assert change["text"] == "`gpt` instead of `small` is first for the task type=code, for example"
    assert change["witness"] == {"task.type": "code"}
    assert (change["old_chain"][0], change["new_chain"][0]) == ("small", "gpt")
    assert diff(capsys, old, new, "--fail-on", "costlier")[0] == 1
    assert main(["diff", str(old), str(new)]) == 0
    assert f"spends more: {change['text']}" in capsys.readouterr().out


def test_what_no_common_task_shows_is_looser_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, old: Path
) -> None:
    """A provider that is asked elsewhere."""
    models = MODELS.replace("openai:", "openai:\n    base_url: https://elsewhere.example", 1)
    assert models != MODELS
    new = written(tmp_path / "new", OLD, models=models)
    code, told = diff(capsys, old, new)
    assert (code, told["exposure"]) == (1, "equivalent")
    assert [leak["text"] for leak in told["judgement"]["leaks"]] == ["openai has another address"]


def test_a_region_says_what_when_and_which_rule(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, old: Path
) -> None:
    """Condition, witness, both decisions, and the rule that makes the difference."""
    new = written(tmp_path / "new", OLD.replace("has pii", "has all [pii, secret]"))
    _, told = diff(capsys, old, new)
    region = told["regions"][0]
    assert region["facts"]["task.labels"] == "task.labels has pii and not task.labels has secret"
    assert region["witness"] == {"task.type": "qa", "task.labels": ["pii"]}
    assert region["old"]["rule"] == {"rule": "pii", "file": "main.route", "line": 1}
    assert "gpt" not in region["old"]["chain"]
    assert "gpt" in region["new"]["chain"]
    assert (region["looser"], region["stricter"], region["order_only"]) == (True, False, False)
    assert main(["diff", str(old), str(new)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("exposure: LOOSER")
    assert "1. looser: task.labels has pii" in out
    assert "joins the chain: gpt" in out
    assert "for example: type=qa labels=pii" in out


def test_names_that_one_side_alone_knows_are_listed_apart(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, old: Path
) -> None:
    """A mode, a type, a label and a model; only what both know is compared."""
    policies = POLICIES.replace("local-only: {allow_cloud: false}", "frugal: {allow_cloud: true}")
    policies = policies.replace("task_types: [qa, code, chat]", "task_types: [qa, code, draw]")
    policies = policies.replace("labels: [pii, secret]", "labels: [pii, public]")
    models = MODELS.replace("id: gpt\n", "id: gpt-next\n")
    new = written(tmp_path / "new", OLD, models, policies)
    _, told = diff(capsys, old, new)
    assert told["one_sided"] == [
        {"kind": "mode", "old": ["local-only"], "new": ["frugal"]},
        {"kind": "task type", "old": ["chat"], "new": ["draw"]},
        {"kind": "label", "old": ["secret"], "new": ["public"]},
        {"kind": "model", "old": ["gpt"], "new": ["gpt-next"]},
    ]
    assert told["exposure"] == "mixed"
    for region in told["regions"]:
        assert region["witness"]["task.type"] in ("qa", "code")
        assert region["witness"].get("mode", "balanced") == "balanced"


def test_a_new_provider_and_limit_are_compared(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, old: Path
) -> None:
    """Each side sees only the providers and limits it knows."""
    policies = POLICIES.replace("{total_usd: 1000}", "{total_usd: 1000, per_provider: {openai: 5}}")
    assert policies != POLICIES
    new = written(tmp_path / "new", OLD, policies=policies)
    code, told = diff(capsys, old, new)
    assert (code, told["exposure"]) == (0, "stricter")
    assert all("openai" in region["facts"]["budget.exhausted_providers"] for region in told["regions"])


def test_the_cap_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path, old: Path) -> None:
    """Unknown is no success: 4."""
    new = written(tmp_path / "new", OLD.replace("has pii", "has secret"))
    code, told = diff(capsys, old, new, "--max-work", "3")
    assert (code, told["exposure"], told["complete"]) == (4, None, False)


def test_a_side_with_errors_cannot_be_compared(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, old: Path
) -> None:
    """2, and the errors are told."""
    new = written(tmp_path / "new", "forbid x: clowd\n")
    assert main(["diff", str(old), str(new)]) == 2
    assert "clowd" in capsys.readouterr().err


# --- Revisions ------------------------------------------------------------------------------------------


def git(folder: Path, *words: str) -> str:
    about = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *about, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_revisions_of_the_policy_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`HEAD~1 HEAD`, a revision against the working folder, `REV:PATH`; nothing is checked out."""
    folder = written(tmp_path / "repo" / "config", OLD)
    repo = folder.parent
    git(repo, "init", "-q", "-b", "main")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "one")
    (folder / "main.route").write_text(OLD.replace("has pii", "has all [pii, secret]"))
    git(repo, "commit", "-qam", "two")
    (folder / "main.route").write_text(OLD)
    monkeypatch.chdir(repo)
    for old, new, exposure in (
        ("HEAD~1", "HEAD", "looser"),
        ("HEAD", "config", "stricter"),
        ("HEAD~1", "config", "equivalent"),
        ("HEAD:config", "main~1:config/", "stricter"),
    ):
        code, told = diff(capsys, Path(old), Path(new))
        assert (code, told["exposure"]) == (int(exposure == "looser"), exposure), (old, new)
    before = git(repo, "status", "--porcelain")
    for odd in ("no-such-revision", "--output=x", "-", "HEAD:nowhere", "HEAD\n", ""):
        assert main(["diff", "--", odd, "config"]) == 2, odd
        assert "Traceback" not in capsys.readouterr().err
    assert git(repo, "status", "--porcelain") == before


def test_the_default_policy_does_not_differ_from_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """Equivalent, with nothing to list."""
    assert diff(capsys, DEFAULT, DEFAULT)[1]["regions"] == []


# --- A log ----------------------------------------------------------------------------------------------

TIGHTER = worlds.ROUTES.replace("has any [pii, secret]", "has any [pii, secret, open]")


def two_policies_and_a_log(folder: Path) -> tuple[Path, Path, Path]:
    old, new = worlds.write_folder(folder / "old"), worlds.write_folder(folder / "new", routes=TIGHTER)
    pl.DataFrame(worlds.as_log(worlds.rows(600, seed=5))).write_csv(folder / "log.csv")
    return old, new, folder / "log.csv"


def test_a_log_says_what_moves(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Rows, dollars and the most frequent moves are those of `engine replay --against`, in JSON and in
    text."""
    old, new, log = two_policies_and_a_log(tmp_path)
    assert main(["replay", str(log), "--config", str(old), "--against", str(new), "--format", "json"]) == 0
    replayed = json.loads(capsys.readouterr().out)
    _, told = diff(capsys, old, new, "--log", str(log), "--max-work", "50000")
    moved = told["log"]["moved"]
    assert moved == replayed["moved"]
    assert moved["rows"] == sum(group["rows"] for group in moved["groups"]) > 0
    assert [told["log"]["usd_old"], told["log"]["usd_new"]] == [side["usd"] for side in replayed["policies"]]
    assert (told["log"]["rows"], told["log"]["file"]) == (600, "log.csv")
    assert main(["replay", str(log), "--config", str(old), "--against", str(new)]) == 0
    said = capsys.readouterr().out.split("\n\n")
    main(["diff", str(old), str(new), "--log", str(log), "--max-work", "50000"])
    out = capsys.readouterr().out
    assert "\n\nlog.csv: 600 tasks, $" in out
    assert next(part for part in said if "rows move" in part) in out
    assert "budgets played from zero" in out


def test_a_log_under_one_policy_moves_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """And without a log there is nothing to say of one."""
    old, _, log = two_policies_and_a_log(tmp_path)
    assert diff(capsys, old, old, "--log", str(log))[1]["log"]["moved"]["rows"] == 0
    assert main(["diff", str(old), str(old), "--log", str(log)]) == 0
    assert "nothing moves" in capsys.readouterr().out
    assert diff(capsys, old, old)[1]["log"] is None


def test_columns_of_a_log_are_named_as_for_replay(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, old: Path
) -> None:
    """`--map` and `--set`; a mapping without a log is a mistake, and so is a log that is none."""
    new = written(tmp_path / "new", OLD + "forbid big: big when task.type is qa\n")
    log = tmp_path / "calls.csv"
    log.write_text("kind,prompt\nqa,1000\ncode,2000\nqa,3000\n")
    mapped = ("--map", "task.type=kind", "tokens.input=prompt", "--set", "labels=pii")
    _, told = diff(capsys, old, new, "--log", str(log), *mapped)
    assert told["log"]["rows"] == 3
    assert {note.partition(":")[0] for note in told["log"]["notes"]} >= {"the log says nothing of replies"}
    assert main(["diff", str(old), str(new), *mapped]) == 2
    assert "give it with --log" in capsys.readouterr().err
    assert main(["diff", str(old), str(new), "--log", str(tmp_path / "none.csv")]) == 2
    told_wrong = capsys.readouterr()
    assert (told_wrong.out, told_wrong.err.count("\n")) == ("", 1)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_decision_log_and_two_revisions(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of a decision log, with its budgets as recorded, under two states of the repository."""
    folder = written(tmp_path / "repo" / "config", OLD)
    repo = folder.parent
    git(repo, "init", "-q", "-b", "main")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "one")
    (folder / "main.route").write_text(OLD.replace("use local, then cloud", "use cloud"))
    git(repo, "commit", "-qam", "two")
    monkeypatch.chdir(repo)
    state = tmp_path / "state"
    state.mkdir()
    with (state / "decisions.jsonl").open("w") as lines:
        for labels in ([], ["pii"], []):
            facts = {"task.type": "code", "task.labels": labels, "budget.daily.used": 0}
            record = {"policy_digest": "x", "at": "2026-01-05T12:00:00Z", "facts": facts}
            lines.write(json.dumps({**record, "chain": ["small"]}) + "\n")
    _, told = diff(capsys, Path("HEAD~1"), Path("HEAD"), "--log", str(state))
    assert told["log"]["budgets"] == "recorded"
    assert told["log"]["rows"] == 3
    assert {group["rows"] for group in told["log"]["moved"]["groups"]} == {1, 2}


def test_the_dataframe_library_is_asked_for_in_one_sentence(tmp_path: Path) -> None:
    """Only a log needs it: without one nothing of it is imported."""
    old, new, log = two_policies_and_a_log(tmp_path)
    words = ["diff", str(old), str(old), "--fail-on", "never"]
    without = (
        "import sys; sys.modules['polars'] = None; from engine.cli import main; sys.exit(main(sys.argv[1:]))"
    )

    def ran(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", without, *words], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stderr

    need = "reading a log needs a dataframe library: pip install 'local-first-router[replay]'\n"
    assert ran(*words) == (0, "")
    assert ran(*words, "--log", str(log)) == (2, f"engine diff: {need}")
    assert ran("replay", str(log), "--config", str(new)) == (2, f"engine replay: {need}")


def test_the_schema_of_moves_is_that_of_replay() -> None:
    """One form in both answers."""
    schemas = Path(__file__).parents[2] / "schemas"
    mine, other = (
        json.loads((schemas / f"{name}.schema.json").read_text())["properties"] for name in ("diff", "replay")
    )
    moved = mine["log"]["properties"]["moved"]
    assert (moved["properties"], moved["required"]) == (
        other["moved"]["properties"],
        other["moved"]["required"],
    )


# --- Formats for a code host -------------------------------------------------------------------------------


def annotations(out: str) -> list[tuple[str, str, int, str, str]]:
    """Level, file, line, title and text of each workflow command."""
    found = re.findall(
        r"^::(\w+) file=([^,]*),line=(\d+),endLine=\d+,col=\d+,endColumn=\d+,title=([\w-]+)::(.*)$",
        out,
        re.MULTILINE,
    )
    assert len(found) == len(out.splitlines())
    return [(level, file, int(line), title, text) for level, file, line, title, text in found]


LINES = {
    "guard-weakened": (
        OLD.replace("has pii", "has all [pii, secret]"),
        [("error", "new/main.route", 1, "looser", "`pii` was changed: more tasks may go to gpt")],
    ),
    "guard-removed": (
        OLD.partition("\n")[2],
        [("error", "new/main.route", 1, "looser", "`pii` was removed: more tasks may go to gpt")],
    ),
    "guard-added": (
        OLD + "\nforbid late: cloud when clock.hour in 22..6\n",
        [("notice", "new/main.route", 4, "stricter", "`late` was added: fewer tasks go to gpt")],
    ),
    "route-turned": (
        OLD.replace("use local, then cloud", "use cloud, then local"),
        [
            ("warning", "new/main.route", 2, "costlier", "`gpt` instead of `small` is first"),
            ("notice", "new/main.route", 2, "decided-otherwise", "`r` was changed: the order is now gpt"),
        ],
    ),
    "comment": (OLD + "# nothing\n", []),
}


@pytest.mark.parametrize(("text", "expected"), LINES.values(), ids=LINES.keys())
def test_annotations_stand_at_the_changed_lines(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    old: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    expected: list[tuple[str, str, int, str, str]],
) -> None:
    """Each with the kind of change, at the rule in the new file, or where it stood; SARIF has the same."""
    written(tmp_path / "new", text)
    monkeypatch.chdir(tmp_path)
    main(["diff", "old", "new", "--format", "github"])
    told = annotations(capsys.readouterr().out)
    assert [
        (*one[:4], one[4][: len(wanted[4])]) for one, wanted in zip(told, expected, strict=True)
    ] == expected
    main(["diff", "old", "new", "--format", "sarif"])
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert [
        (
            result["ruleId"],
            (place := result["locations"][0]["physicalLocation"])["artifactLocation"]["uri"],
            place["region"]["startLine"],
        )
        for result in run["results"]
    ] == [(title, file, line) for _, file, line, title, _ in told]


def test_limits_places_and_models_have_their_lines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the two YAML files of the new policy."""
    budgets = POLICIES.partition("budgets:")[0] + "budgets:\n  daily:\n    total_usd: 10\n"
    written(tmp_path / "old", OLD, policies=budgets)
    models = MODELS.replace("openai:", "openai:\n    base_url: https://elsewhere.example", 1).replace(
        "max_context: 128000", "max_context: 256000"
    )
    new = written(tmp_path / "new", OLD, models, budgets.replace("10", "20"))
    monkeypatch.chdir(tmp_path)
    assert main(["diff", "old", "new", "--format", "github"]) == 1
    told = {(file, line, title): text for _, file, line, title, text in annotations(capsys.readouterr().out)}
    limit = budgets.split("\n").index("    total_usd: 10") + 1
    assert told["new/policies.yaml", limit, "costlier"] == "the daily limit is higher, $20 instead of $10"
    lines = (new / "models.yaml").read_text().split("\n")
    words = ("openai:", "id: gpt")
    provider, model = (next(at for at, line in enumerate(lines, 1) if word in line) for word in words)
    places = [line for file, line, title in told if (file, title) == ("new/models.yaml", "looser")]
    assert places[0] >= provider
    assert "gpt` was changed or added" in told["new/models.yaml", model, "looser"]


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_lines_of_a_revision_are_those_of_its_path(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a code host finds them, whichever way the revision was named."""
    folder = written(tmp_path / "repo" / "team" / "config", OLD)
    repo = tmp_path / "repo"
    git(repo, "init", "-q", "-b", "main")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "one")
    (folder / "main.route").write_text(OLD.replace("has pii", "has all [pii, secret]"))
    git(repo, "commit", "-qam", "two")
    monkeypatch.chdir(repo)
    for words in (("HEAD^1", "HEAD", "--config", "team/config"), ("HEAD^1:team/config", "HEAD:team/config")):
        assert main(["diff", *words, "--format", "github"]) == 1
        assert {one[1] for one in annotations(capsys.readouterr().out)} == {"team/config/main.route"}
