"""A policy of any size is linted in work that grows with its size, and what is left out is said."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import pytest

from engine.analysis import lint_questions
from engine.analysis.linter import Report, lint
from engine.cli import main
from engine.config.folder import folder_in_memory
from engine.language.diagnostics import Problems

STEPS = 20_000


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are met by policies that are quick to read."""
    monkeypatch.setattr(lint_questions, "MOST_STEPS_A_RULE", STEPS // 3)
    monkeypatch.setattr(lint_questions, "MOST_STEPS_TOGETHER", STEPS)


def models_yaml(count: int) -> str:
    lines = [
        "providers:",
        "  far:",
        "    type: cloud",
        "    base_url: https://far.example",
        "    api: openai",
    ]
    lines.append("    models:")
    for number in range(count):
        about = f"id: m{number}, max_context: {1000 + number}, quality_tier: low, latency_tier: low"
        price = f"input_per_1m: {number % 7}, output_per_1m: {number % 5}"
        lines.append(f"      - {{{about}, cost_profile: {{type: paid, {price}}}}}")
    return "\n".join(lines) + "\n"


def models(count: int) -> tuple[str, str]:
    return models_yaml(count), "forbid g: cloud when task.labels has pii\nroute r: use any\n"


def routes(count: int) -> tuple[str, str]:
    text = "".join(f"route r{n}: use any when task.type is type-{n}\n" for n in range(count))
    return models_yaml(5), text


def preferences(count: int) -> tuple[str, str]:
    text = "".join(
        f"prefer p{n}: model.max_context > {1000 + n} by 5 when task.type is type-{n}\n" for n in range(5)
    )
    return models_yaml(count), text


def report_of(models: str, text: str) -> Report:
    problems = Problems()
    files = folder_in_memory(models, None, {"a.route": text}, problems=problems)
    report = lint(files, problems)
    assert report.context is not None, [finding.message for finding in report.findings]
    return report


def calls(models: str, text: str) -> int:
    """Calls of functions, and resumptions of generators, of one lint."""
    count = 0

    def counted(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counted)
    try:
        report_of(models, text)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("grown", [models, routes, preferences])
def test_twice_the_size_is_about_twice_the_work(grown: object) -> None:
    """Of models, of routes, of models under preferences; pairs would be four times the work."""
    assert callable(grown)
    calls(*grown(10))  # what is read once
    assert calls(*grown(300)) < 2.6 * calls(*grown(150))


@pytest.mark.parametrize("grown", [models, routes, preferences])
def test_what_was_not_analysed_is_said(grown: object) -> None:
    """By the kind of finding, with the number of questions; and it is nothing that was found."""
    assert callable(grown)
    report = report_of(*grown(300))
    (left,) = [finding.message for finding in report.findings if finding.slug == "open-question"]
    assert "no-effect (" in left or "idle-preference (" in left
    assert "questions)" in left
    assert report.is_open


def test_strict_exits_with_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only when asked for, and only where something was left open."""
    for name, count in (("large", 300), ("small", 3)):
        text, route = models(count)
        (tmp_path / name).mkdir()
        (tmp_path / name / "models.yaml").write_text(text)
        (tmp_path / name / "a.route").write_text(route)
    assert main(["lint", str(tmp_path / "large")]) == 0
    assert main(["lint", str(tmp_path / "large"), "--strict"]) == 4
    assert main(["lint", str(tmp_path / "small"), "--strict"]) == 0
    capsys.readouterr()
