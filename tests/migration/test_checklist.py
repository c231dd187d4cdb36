"""The checklist before a migration."""

from __future__ import annotations

from pathlib import Path

from engine.migration.scan import report_json, scan

from .marked import CORPUS


def test_the_checklist_is_filled_in(tmp_path: Path) -> None:
    """Usage, dependencies with what the router needs of them, and requirements."""
    (tmp_path / "app.py").write_text((CORPUS / "common_patterns.py").read_text())
    (tmp_path / "requirements.txt").write_text(
        "fastapi==0.104.1\nanthropic==0.7.8\nopenai==1.3.8 # old\n-r x\n"
    )
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["litellm[proxy]>=1.40", "rich"]\n')
    listed = report_json(scan(tmp_path))["checklist"]
    assert listed["usage"]["by_model"] == {"claude-3-sonnet": 3}
    assert listed["dependencies"]["declared"] == [
        {
            "name": "anthropic",
            "version": "==0.7.8",
            "file": "requirements.txt",
            "advice": "the router needs anthropic >=2,<3",
        },
        {"name": "litellm", "version": ">=1.40", "file": "pyproject.toml", "advice": None},
        {
            "name": "openai",
            "version": "==1.3.8",
            "file": "requirements.txt",
            "advice": "the router needs openai >=3,<4",
        },
    ]
    assert listed["requirements"] == {
        "critical_calls": 1,
        "most_max_tokens": 4000,
        "calls_without_max_tokens": 2,
        "calls_without_a_traced_model": 0,
    }
