"""`engine lint` as a person and as a pipeline see it: formats, levels, suppressions, mending, hostile
folders, work."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from engine.analysis import linter
from engine.analysis.lint_rule import MODELS, POLICIES
from engine.analysis.lint_rules import RULES
from engine.analysis.search import Work
from engine.analysis.space import Cost
from engine.cli import main
from engine.config.folder import read_folder
from engine.language.diagnostics import Problems
from tests.commands.running import valid

WRONG = """\
let unused = task.labels has pii
forbid a: cloud when task.labels has pii
forbid b: gpt when task.labels has all [pii, secret]
route c: use cloud when task.type is code
prove d: only local when task.type is qa
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "policy", WRONG)


def written(folder: Path, text: str, models: str = MODELS, policies: str = POLICIES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "models.yaml").write_text(models)
    (folder / "policies.yaml").write_text(policies)
    (folder / "main.route").write_text(text)
    return folder


def lint(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["lint", *words])
    return code, capsys.readouterr().out


def findings(capsys: pytest.CaptureFixture[str], folder: Path) -> list[dict[str, Any]]:
    _, out = lint(capsys, str(folder), "--format", "json")
    listed: list[dict[str, Any]] = valid("findings", json.loads(out))["findings"]
    return listed


# --- Formats --------------------------------------------------------------------------------------------


def test_json_fits_its_schema(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Every finding with slug, level and place, in line order."""
    told = [(one["slug"], one["level"], one["line"]) for one in findings(capsys, folder)]
    assert told == [
        ("unused-let", "warning", 1),
        ("no-effect", "warning", 3),
        ("route-all-cloud", "warning", 4),
        ("refuted-proof", "error", 5),
    ]


def test_text_is_the_answer_and_the_level_decides_the_code(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """1 at or above --fail-level, 0 below it."""
    code, out = lint(capsys, str(folder))
    assert (code, out.splitlines()[-1]) == (1, "3 warnings, 1 error")
    (folder / "main.route").write_text(
        "forbid a: cloud when task.labels has pii\nroute c: use cloud when task.type is code\n"
    )
    assert lint(capsys, str(folder))[0] == 0
    assert lint(capsys, str(folder), "--fail-level", "warning")[0] == 1


def test_sarif_has_the_structure_that_2_1_0_asks_for(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the standard requires of a run, a rule, a result and a region (sections 3.13 to 3.30)."""
    monkeypatch.chdir(folder.parent)
    code, out = lint(capsys, "policy", "--format", "sarif")
    log = json.loads(out)
    assert code == 1
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("/sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    assert run["columnKind"] == "unicodeCodePoints"
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids)
    assert {rule.slug for rule in RULES} <= set(ids)
    for rule in driver["rules"]:
        assert set(rule) <= {"id", "shortDescription", "fullDescription", "defaultConfiguration"}
    assert len(run["results"]) == 4
    for result in run["results"]:
        assert result["ruleId"] == ids[result["ruleIndex"]]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]
        for location in (*result["locations"], *result.get("relatedLocations", [])):
            place = location["physicalLocation"]
            assert place["artifactLocation"]["uri"] == "policy/main.route"
            region = place["region"]
            assert 1 <= region["startLine"] <= region["endLine"]
            assert (region["startLine"], region["startColumn"]) <= (region["endLine"], region["endColumn"])
        ids_of_related = [each["id"] for each in result.get("relatedLocations", [])]
        assert all(isinstance(each, int) and each >= 0 for each in ids_of_related)


def test_an_odd_folder_name_is_a_proper_uri(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blanks, percent signs and letters beyond ASCII are escaped."""
    written(tmp_path / "p%20 \u00e4", WRONG)
    monkeypatch.chdir(tmp_path)
    _, out = lint(capsys, "p%20 \u00e4", "--format", "sarif")
    uri = json.loads(out)["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"][
        "uri"
    ]
    assert uri == "p%2520%20%C3%A4/main.route"


@pytest.mark.parametrize("text", [WRONG, "forbid a: clod\n"], ids=["doubtful", "broken"])
def test_a_file_name_that_is_not_utf_8_is_escaped_byte_by_byte(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """A stranger's file name cannot break SARIF: its bytes stand in the URI, and the document is valid
    UTF-8."""
    name = os.fsdecode(b"b\xff.route")
    folder = written(tmp_path / "p", "")
    try:
        (folder / name).write_text(text)
    except OSError:
        pytest.skip("this file system holds no such name")
    monkeypatch.chdir(tmp_path)
    _, out = lint(capsys, "p", "--format", "sarif")
    document = json.loads(out)
    results = document["runs"][0]["results"]
    uris = {each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in results}
    assert "p/b%FF.route" in uris
    json.dumps(document, ensure_ascii=False).encode()


def test_github_lines_cannot_be_forged(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line a finding, each a command of ours, whatever files, labels and folders are called."""
    name = "evil,title=x::warning file=y%0A"
    text = (
        'forbid a: cloud when task.labels has "::error::pwned%0A"\n'
        'forbid b: cloud when task.labels has "::error::pwned%0A"\n'
    )
    written(tmp_path / name, text, policies=POLICIES.replace("labels: [pii, secret]\n", ""))
    (tmp_path / name / "new\nline::.route").write_text("forbid c: clowd\n")
    monkeypatch.chdir(tmp_path)
    _, out = lint(capsys, name, "--format", "github")
    lines = out.splitlines()
    assert lines
    for line in lines:
        assert line.startswith(("::error file=", "::warning file=", "::notice file=")), line
        properties, _, message = line[2:].partition("::")
        assert message
        keys = [part.partition("=")[0] for part in properties.split(" ", 1)[1].split(",")]
        assert keys == ["file", "line", "endLine", "col", "endColumn", "title"], line


# --- Pages ----------------------------------------------------------------------------------------------


def test_every_rule_has_a_page_and_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """--list names all, --explain shows why, the examples, and whether --fix mends it."""
    code, out = lint(capsys, "--list")
    assert code == 0
    assert {line.split()[1] for line in out.splitlines()} == {rule.slug for rule in RULES}
    assert len(RULES) >= 35
    for rule in RULES:
        code, out = lint(capsys, "--explain", rule.slug)
        assert code == 0
        assert rule.why in out
        assert ("--fix" in out) == (rule.fix is not None)
    assert main(["lint", "--explain", "no-efect"]) == 2
    assert "did you mean no-effect" in capsys.readouterr().err


# --- Suppressions ---------------------------------------------------------------------------------------


def test_a_comment_with_a_reason_allows_one_finding_at_one_place(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """On the line above the statement; several stack; elsewhere, misspelt or without a reason they allow
    nothing."""
    allowed = written(
        tmp_path / "a",
        "# lint: allow route-all-cloud because there is no local model for it\n"
        "route c: use cloud when task.type is code\n"
        "forbid a: cloud when task.labels has pii\n"
        "#lint: allow unused-let because it is used soon\n"
        "# lint: allow no-effect because it is on trial\n"
        "forbid b: gpt when task.labels has all [pii, secret]\n",
    )
    told = [(one["slug"], one["line"]) for one in findings(capsys, allowed)]
    assert told == [("unused-suppression", 4)]
    code, out = lint(capsys, str(allowed))
    assert (code, out.splitlines()[-1]) == (0, "1 warning, 2 allowed by comments")

    not_allowed = written(
        tmp_path / "b",
        "# lint: allow route-all-cloud\n"
        "# lint: allow route-all-clowd because of a slip\n"
        "# lint: allow unknown-fact because errors of meaning cannot be allowed\n"
        "# lint: allow literal-secret because keys cannot either\n"
        "# because lint: allow route-all-cloud because this is prose\n"
        "route c: use cloud when task.type is code\n"
        "\n"
        "# lint: allow route-all-cloud because nothing stands under this\n",
    )
    told = [(one["slug"], one["line"]) for one in findings(capsys, not_allowed)]
    assert told == [
        *[("bad-suppression", line) for line in (1, 2, 3, 4)],
        ("route-all-cloud", 6),
        ("bad-suppression", 8),
    ]


def test_errors_of_meaning_cannot_be_allowed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A policy without meaning is told as it is."""
    folder = written(
        tmp_path / "a", "# lint: allow unknown-fact because I know\nforbid a: cloud when task.kind is x\n"
    )
    assert [one["slug"] for one in findings(capsys, folder)] == ["unknown-fact"]


# --- Mending --------------------------------------------------------------------------------------------


def test_fix_writes_only_what_it_mends(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Bytes around the mended places stay: a byte-order mark, CRLF, comments, other files."""
    folder = written(tmp_path / "a", "")
    text = (
        "\ufeff# first \u00e4\r\nlet gone = task.labels has pii\r\n\r\n"
        'forbid a: cloud # why\r\n    when task.bucket < 5 or task.bucket >= 5\r\n    because "x"\r\n'
        "# lint: allow no-effect because old\r\nforbid b: gpt when task.labels has pii # end"
    )
    (folder / "main.route").write_bytes(text.encode())
    (folder / "other.route").write_bytes(b"# nothing\r\n")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["lint", str(folder), "--fix"]) == 0
    assert "mended" in capsys.readouterr().err
    mended = (folder / "main.route").read_bytes().decode()
    assert mended == (
        "\ufeff# first \u00e4\r\n\r\n"
        'forbid a: cloud # why\r\n    \r\n    because "x"\r\n'
        "# lint: allow no-effect because old\r\nforbid b: gpt when task.labels has pii # end"
    )
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"main.route"}


def test_nothing_is_written_without_fix(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Not a byte, not a time stamp."""
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    lint(capsys, str(folder))
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before


def test_fix_never_writes_through_a_link(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A link is not read, so nothing behind it is mended."""
    outside = tmp_path / "outside.route"
    outside.write_text("let unused = task.labels has pii\n")
    folder = written(tmp_path / "a", "forbid b: cloud when task.labels has pii\n")
    (folder / "x.route").symlink_to(outside)
    assert main(["lint", str(folder), "--fix"]) == 1
    capsys.readouterr()
    assert outside.read_text() == "let unused = task.labels has pii\n"


# --- Strangers ------------------------------------------------------------------------------------------


def hostile(folder: Path) -> None:
    """What a pull request could hold."""
    written(folder, "forbid a: cloud when task.labels has pii\n")
    os.mkfifo(folder / "pipe.route")
    (folder / "link.route").symlink_to("/etc/passwd")
    (folder / "up.route").symlink_to("../../../../etc/shadow")
    (folder / "dir.route").mkdir()
    (folder / "deep.route").write_text("forbid d: " + "(" * 5_000 + "cloud" + ")" * 5_000 + "\n")
    (folder / "long.route").write_text(
        "forbid e: cloud when " + " or ".join(["task.labels has pii"] * 20_000) + "\n"
    )
    (folder / "escape.route").write_text(
        'forbid f: cloud\n    because "\x1b[2J\u202eevil"\n# \x1b]0;title\x07\n'
    )
    (folder / "command.route").write_text(
        "::error file=x::y\n##[set-output name=a]b\nforbid ::add-mask::g: cloud\n"
    )
    (folder / "binary.route").write_bytes(bytes(range(256)))
    (folder / "big.route").write_bytes(b"# " + b"x" * (1 << 20) + b"\n")
    (folder / "env.route").write_text("forbid h: $HOME\nforbid i: ${{ secrets.TOKEN }}\n")


def test_a_hostile_folder_gives_findings_and_nothing_else(tmp_path: Path) -> None:
    """No crash, no hang, no control character, nothing of other files, in every format."""
    hostile(tmp_path / "p")
    for format in ("text", "json", "sarif", "github"):
        done = subprocess.run(
            [sys.executable, "-m", "engine", "lint", str(tmp_path / "p"), "--format", format],
            capture_output=True,
            timeout=600,
            env={**os.environ, "HOME": "/home/SENTINEL", "NO_COLOR": "1"},
            check=False,
        )
        out = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == 1, out
        assert "Traceback" not in out
        assert not {"\x1b", "\x07", "\u202e", "\x00"} & set(out)
        assert "SENTINEL" not in out
        assert "root:" not in out
        if format == "github":
            assert all(
                line.startswith(("::error ", "::warning ", "::notice "))
                for line in done.stdout.decode().splitlines()
            )


YAML_BOMBS = {
    "aliases": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "deep": "[" * 3_000,
    "wide": "providers:\n" + "".join(f"  p{n}: {{type: cloud, models: []}}\n" for n in range(5_000)),
    "tag": "!!python/object/apply:os.system ['touch owned']\n",
    "number": "providers: {x: {type: local, max_concurrent: " + "9" * 5_000 + "}}\n",
}


@pytest.mark.parametrize("bomb", YAML_BOMBS.values(), ids=YAML_BOMBS.keys())
def test_hostile_yaml_gives_findings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, bomb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Diagnostics, and nothing else."""
    monkeypatch.chdir(tmp_path)
    folder = written(tmp_path / "p", "forbid a: cloud when task.labels has pii\n", models=bomb)
    code, _ = lint(capsys, str(folder), "--format", "json")
    assert code == 1
    assert not (tmp_path / "owned").exists()


# --- Speed ----------------------------------------------------------------------------------------------


def many_rules(count: int) -> str:
    """Guards, routes, preferences and weighs over many facts, and a proof for every fifty of them."""
    rng = random.Random(count)
    selectors = ("cloud", "local", "gpt", "model.quality >= high", "model.latency is high", "not small")
    lines = ["forbid first: cloud when task.labels has pii"]
    for number in range(count - 1):
        tests = [
            f"task.type is {rng.choice(['qa', 'code', 'chat'])}",
            f"task.criticality >= {rng.choice(['medium', 'high', 'critical'])}",
            f"task.context_size > {rng.randrange(1, 60)}k",
            f"task.labels has {rng.choice(['pii', 'secret'])}",
            f"clock.hour in {rng.randrange(12)}..{rng.randrange(13, 24)}",
            f"budget.daily.used >= {rng.randrange(50, 100)}%",
            f"task.bucket < {rng.randrange(5, 95)}",
            "task.latency_sensitivity is high",
        ]
        when = " and ".join(rng.sample(tests, rng.choice([2, 3])))
        selector = rng.choice(selectors)
        match rng.choice(["forbid", "forbid", "require", "route", "prefer", "prefer", "weigh"]):
            case "route":
                lines.append(f"route x{number}: use {selector}, then local when {when}")
            case "prefer":
                lines.append(f"prefer x{number}: {selector} by {rng.randrange(1, 30)} when {when}")
            case "weigh":
                lines.append(f"weigh x{number}: cost 0.2, quality 0.5, latency 0.3 when {when}")
            case "require":
                lines.append(
                    f"require x{number}: {rng.choice(['local', 'not gpt', 'not small'])} when {when}"
                )
            case _:
                lines.append(f"forbid x{number}: {selector} when {when}")
        if number % 50 == 0:
            lines.append(f"prove p{number}: never cloud when task.labels has pii and {when}")
    return "\n".join(lines) + "\n"


def work_of_linting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """How many calls and how many steps of the search it takes to lint a folder: counts, whatever the
    machine."""
    calls = steps = 0
    spend = Work.spend

    def counted(work: Work, taken: int, cost: Cost) -> None:
        nonlocal steps
        steps += taken
        spend(work, taken, cost)

    def on_event(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    monkeypatch.setattr(Work, "spend", counted)
    problems = Problems()
    files = read_folder(folder, problems)
    before = sys.getprofile()
    sys.setprofile(on_event)
    try:
        linter.lint(files, problems)
    finally:
        sys.setprofile(before)
    return calls, steps


def test_the_work_of_linting_grows_no_faster_than_the_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All analysis of 1,000 rules takes at most five times the calls and the steps that 200 rules take."""
    small, large = (
        work_of_linting(written(tmp_path / str(rules), many_rules(rules)), monkeypatch)
        for rules in (200, 1000)
    )
    assert [most >= done for most, done in zip([5 * each for each in small], large, strict=True)] == [
        True,
        True,
    ], (
        small,
        large,
    )


# --- Caps -----------------------------------------------------------------------------------------------


def test_a_cap_that_is_reached_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proof that was not decided is a finding; so is a kind of question left open. Neither is silence."""

    from engine.analysis import lint_questions

    monkeypatch.setattr(lint_questions, "MOST_WORK_A_PROOF", 5)
    monkeypatch.setattr(lint_questions, "MOST_WORK_TOGETHER", 0)
    monkeypatch.setattr(lint_questions, "LEAST_WORK_A_QUESTION", 4)
    text = "forbid a: cloud when task.labels has pii\nprove d: only local when task.labels has pii\n"
    told = findings(capsys, written(tmp_path / "p", text))
    assert [(one["slug"], one["line"]) for one in told] == [("open-question", 1), ("undecided-proof", 2)]
    assert "no-effect" in told[0]["message"]
    assert "neither proved nor refuted" in told[1]["message"]


def test_a_long_line_costs_no_more_than_its_length(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Patterns that look through a stranger's text never go over it twice: a line 16 times as long takes
    16 times as long at most, where one pass for each character would take 256 times."""

    def seconds(length: int) -> float:
        long = f"# lint: a{' ' * length}b\n# {'a' * length}\u0436\n# sk-{'a-' * (length // 2)}\n"
        folder = written(tmp_path / str(length), long + "forbid a: cloud when task.labels has pii\n")
        began = time.process_time()
        findings(capsys, folder)
        return time.process_time() - began

    assert seconds(320_000) < 64 * seconds(20_000)


def test_a_condition_that_the_modes_settle_is_a_condition(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Where every mode allows the cloud, `not mode.allow_cloud` never holds, and lint says so as of any
    other condition."""
    policies = POLICIES.replace("local-only: {allow_cloud: false}", "local-only: {allow_cloud: true}")
    wrong = written(tmp_path, "route home: use local when not mode.allow_cloud\n", policies=policies)
    told = {one["slug"]: (one["column"], one["end_column"]) for one in findings(capsys, wrong)}
    assert told["condition-never-true"] == (28, 48)
    assert "no-effect" not in told


@pytest.mark.parametrize("format", ["text", "json", "sarif", "github"])
def test_a_folder_that_is_not_there_is_no_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], format: str
) -> None:
    """Nothing was linted: exit code 2, the reason on standard error, and nothing for a review to show."""
    assert main(["lint", str(tmp_path / "nowhere"), "--format", format]) == 2
    said = capsys.readouterr()
    assert (said.out, "no-folder" in said.err) == ("", True)
