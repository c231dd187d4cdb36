"""`engine test`: its report in each format, and its exit codes."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.commands.running import FOLDERS, Shell, valid

MODELS = """
providers:
  ollama:
    type: local
    models:
      - {id: small, capabilities: [], max_context: 8000, quality_tier: low, latency_tier: low}
"""
POLICY = """\
forbid no-letters: local
    when task.type is letter
    because "letters are written by hand"

prefer quick: local by 5

test "a <letter>":
    given task.type is letter
    expect small
    given task.type is note
    expect small because no-letters

test "a note":
    given task.type is note
    expect only local
"""
FAILURES = """\
FAILED  a <letter> (main.route:7)
    given     task.type is letter  (main.route:8)
    expected  small
    decided   refused; route mode-local-preferred
    blocked   small by no-letters (main.route:1)
    given     task.type is note  (main.route:10)
    expected  small because no-letters
    decided   small (local); route mode-local-preferred
    but       no-letters did not matter here
passed  a note (main.route:13)
2 tests, 1 case passed, 2 failed
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "models.yaml").write_text(MODELS)
    (tmp_path / "main.route").write_text(POLICY)
    return str(tmp_path)


@pytest.mark.parametrize("path", FOLDERS.values(), ids=FOLDERS)
def test_shipped_policies_pass(shell: Shell, path: str) -> None:
    """Exit code 0, and a report that fits its schema."""
    ran = shell("test", path, "--format", "json", "--coverage")
    assert (ran.code, ran.err, valid("test-report", ran.json)["failed"]) == (0, "", 0)


def test_a_failure_shows_expected_and_decided_one_above_the_other(shell: Shell, folder: str) -> None:
    """With the guards that blocked, and the rule that did not matter."""
    ran = shell("test", folder)
    assert (ran.code, ran.out) == (1, FAILURES)


def test_the_report_says_what_was_decided_and_why(shell: Shell, folder: str) -> None:
    """Case by case."""
    report = valid("test-report", shell("test", folder, "--format", "json").json)
    assert (report["passed"], report["failed"]) == (1, 2)
    assert [(case["line"], case["passed"], case["met"], case["because"]) for case in report["cases"]] == [
        (8, False, False, None),
        (10, False, True, {"rule": "no-letters", "mattered": False}),
        (14, True, True, None),
    ]
    blocked = [{"model": "small", "rules": [{"rule": "no-letters", "file": "main.route", "line": 1}]}]
    assert report["cases"][0]["decided"] == {
        "outcome": "refused",
        "chain": [],
        "route": "mode-local-preferred",
        "blocked": blocked,
    }


def test_junit_has_a_test_case_a_case(shell: Shell, folder: str) -> None:
    """Well-formed XML, counts, places and messages."""
    ran = shell("test", folder, "--format", "junit")
    (suite,) = ElementTree.fromstring(ran.out)
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("3", "2")
    assert [(case.attrib["name"], case.attrib["line"], len(case)) for case in suite] == [
        ("a <letter> [1]", "8", 1),
        ("a <letter> [2]", "10", 1),
        ("a note", "14", 0),
    ]
    assert ran.err == ""
    more = shell("test", folder, "--format", "junit", "--coverage", "--mutate")
    assert (more.out, more.err.startswith("coverage: "), "mutation score" in more.err) == (
        ran.out,
        True,
        True,
    )
    assert suite[0][0].attrib["message"] == "expected small; decided refused; route mode-local-preferred"


def test_coverage_names_what_no_case_decides(shell: Shell, folder: str) -> None:
    """Rule and condition with their places."""
    ran = shell("test", folder, "--coverage")
    assert ran.out.endswith(
        "coverage: 1 of 2 rules decided a case, 1 of 1 conditions were seen both true and false\n"
        "main.route:5           prefer quick: decided no case, mattered in 2 cases\n"
    ), ran.out


def test_a_policy_without_tests_says_so(shell: Shell, folder: str) -> None:
    """It has not failed."""
    Path(folder, "main.route").unlink()
    ran = shell("test", folder)
    assert (ran.code, ran.out.startswith("no tests:")) == (0, True)


def test_a_policy_with_errors_is_not_tested(shell: Shell, folder: str) -> None:
    """Exit code 2, errors on standard error."""
    Path(folder, "main.route").write_text("forbid a cloud")
    ran = shell("test", folder)
    assert (ran.code, ran.out) == (2, "")
    assert "main.route:1:" in ran.err


def test_mutation_tells_what_would_not_be_noticed(shell: Shell, folder: str) -> None:
    """The change as text, and the simplest task that it decides otherwise."""
    Path(folder, "main.route").write_text(
        "forbid long: small\n    when task.context_size > 5k\n\n"
        'test "t":\n    given task.type is a, task.context_size is 7k\n    expect refused because long\n'
    )
    ran = shell("test", folder, "--mutate")
    assert ran.code == 0
    assert ran.out.endswith(
        "main.route:2:10 survived\n"
        "    - task.context_size > 5k\n"
        "    + task.context_size > 4k\n"
        "    for example type=something-else context_size=4001\n"
        "    now small\n"
        "    changed refused\n"
        "\n"
        "main.route:2:10 survived\n"
        "    - task.context_size > 5k\n"
        "    + task.context_size > 6k\n"
        "    for example type=something-else context_size=5001\n"
        "    now refused\n"
        "    changed small\n"
    ), ran.out


def test_what_survives_can_be_pasted_as_tests_that_notice_it(shell: Shell, folder: str) -> None:
    """With them the score is 100%, and --min-score is content."""
    file = Path(folder, "main.route")
    file.write_text("forbid long: small\n    when task.context_size > 5k\n")
    ran = shell("test", folder, "--min-score", "100%", "--format", "json")
    before = valid("test-report", ran.json)["mutation"]
    assert (ran.code, before["killed"]) == (1, 0)
    assert ran.err == "engine test: the mutation score, 0%, is below 100%\n"
    tests = [change["witness"]["test"] for change in before["unnoticed"]]
    file.write_text("\n\n".join([file.read_text(), *tests]) + "\n")
    ran = shell("test", folder, "--min-score", "100", "--format", "json")
    after = valid("test-report", ran.json)["mutation"]
    assert (ran.code, after["score"], after["killed"]) == (0, 1, len(tests))
